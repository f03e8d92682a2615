"""Judges that need no model: text or numbers in, a label out.

`JUDGES` is what the evidence manifest names: each judge is known by the digest of its own source,
so that a changed pattern is another judge, and runs judged by the two are not comparable.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REFUSAL = (
    *("refusal.py", "rules.py", "sentences.py", "cue.py", "refusing.py", "objections.py"),
    *("languages.py", "asked.py", "detect_language.py", "discourse.py", "learned.py"),
    "refusal.weights.json",
)


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge's name and identity; `sha256` is 64 hex digits over its source files in order."""

    name: str
    what: str
    sources: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Changes whenever the code or the lists of the judge do."""
        digest = hashlib.sha256()
        for source in self.sources:
            content = (HERE / source).read_bytes()
            digest.update(f"{source} {len(content)}\n".encode() + content)
        return digest.hexdigest()


JUDGES: dict[str, Judge] = {
    judge.name: judge
    for judge in (
        Judge("refusal", "did it refuse, in part or in full", REFUSAL),
        Judge("coherence", "does it say anything", ("coherence.py",)),
        Judge("choice", "which option it finds likeliest", ("choice.py",)),
        Judge("exact", "which number it ends up with", ("exact.py",)),
        Judge("pair", "which of two sentences it finds likelier", ("pair.py",)),
        Judge("leak", "does it give a secret away", ("leak.py",)),
        Judge("word", "which word it continues with", ("word.py",)),
    )
}
