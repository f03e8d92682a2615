"""Judges that need no model: text or numbers in, a label out.

`JUDGES` is what the evidence manifest names. Each judge has an identity that it keeps while it
decides the same, whatever its files are called, so that runs judged alike stay comparable; one that
decides otherwise is another judge (tools/judge_identity holds their decisions on frozen answers).
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class EmbeddedJudge:
    """A judge's name, what it tells, and its identity: 64 hex digits."""

    name: str
    what: str
    sha256: str


JUDGES: dict[str, EmbeddedJudge] = {
    judge.name: judge
    for judge in (
        EmbeddedJudge(
            "refusal",
            "did it refuse, in part or in full",
            "3bb323be70c44be3626077869c690c3502ed55ec63251ad6c48c2d7a0054aa7b",
        ),
        EmbeddedJudge(
            "coherence",
            "does it say anything",
            "ed335359e3a0c9ffd3d33e523ab1444ed9775274c84ea357eb9ebab55ec0524c",
        ),
        EmbeddedJudge(
            "choice",
            "which option it finds likeliest",
            "23549aac7b28a6286528f884d4a032e8579bf9f978e91973dacb8be572210738",
        ),
        EmbeddedJudge(
            "exact",
            "which number it ends up with",
            "91a8849e8cea4e64d3016db8997c9ccea02f0abc798bae5106738f6aa32bb4c5",
        ),
        EmbeddedJudge(
            "pair",
            "which of two sentences it finds likelier",
            "458fe5b4a0ad1c50ab5257312089a0fca8c925136a2adbaf4ccd3c071fa19c3f",
        ),
        EmbeddedJudge(
            "leak",
            "does it give a secret away",
            "bed25db2d1a1c1147eff7193d5bc0f770ddb7b6ccb5a90f2fd394cbfac59a218",
        ),
        EmbeddedJudge(
            "word",
            "which word it continues with",
            "645e52acfef5937a537c90cea3b2f5c3287f13bc7b951c0c1e0b551e147de0e2",
        ),
    )
}
