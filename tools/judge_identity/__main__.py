"""Keeps a judge's identity while it decides the same: its decisions on frozen answers, on record.

    python -m tools.judge_identity JUDGE            the source changed, no decision did: record it
    python -m tools.judge_identity JUDGE --renew    decisions changed: give the judge a new identity

Evidence names its judges by identity, so one that decides otherwise has to be another judge, and
one whose files were only moved or reworded has to stay the same. `tests/data/judges/JUDGE.txt`
holds the identity, the digest of the source that was compared last, and one decision a line.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from holdfast.judges import JUDGES
from holdfast.judges.endpoint import FROZEN_SOURCE
from tools.judge_identity.decisions import DECISIONS, digest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "tests" / "data" / "judges"
TABLE = ROOT / "holdfast" / "judges" / "__init__.py"
ENDPOINT = "endpoint"
REFUSAL = (
    *("refusal", "rules", "sentences", "cue", "refusing", "objections", "languages", "asked"),
    *("detect_language", "discourse", "learned"),
)
SOURCES: dict[str, tuple[str, ...]] = {
    "refusal": (
        *(f"holdfast/judges/{name}.py" for name in REFUSAL),
        "holdfast/judges/refusal.weights.json",
    ),
    "coherence": ("holdfast/judges/coherence.py",),
    "choice": ("holdfast/judges/choice.py",),
    "exact": ("holdfast/judges/exact.py",),
    "pair": ("holdfast/judges/pair.py",),
    "leak": ("holdfast/judges/leak.py",),
    "word": ("holdfast/judges/word.py",),
    ENDPOINT: (
        "holdfast/judges/forms.py",
        "holdfast/judges/preference.py",
        "holdfast/judges/endpoint.py",
    ),
}


@dataclass(frozen=True, slots=True)
class Record:
    """What is on record of one judge."""

    identity: str
    source: str
    decisions: tuple[str, ...]


def today(judge: str) -> Record:
    """What would be on record of a judge as it stands; its files may lie and be called anyhow."""
    contents = sorted((ROOT / source).read_bytes() for source in SOURCES[judge])
    source = digest([hashlib.sha256(content).hexdigest() for content in contents])
    return Record(identity_of(judge), source, tuple(DECISIONS[judge]()))


def identity_of(judge: str) -> str:
    """64 hex; of a judge behind an endpoint, the share of it that no model or form has."""
    if judge == ENDPOINT:
        return hashlib.sha256(FROZEN_SOURCE.read_bytes()).hexdigest()
    return JUDGES[judge].sha256


def recorded(judge: str) -> Record:
    """What is on record; nothing of a judge that is new."""
    if not _file(judge).is_file():
        return Record("", "", ())
    identity, source, *decisions = _file(judge).read_text(encoding="utf-8").splitlines()
    return Record(identity, source, tuple(decisions))


def record(judge: str, entry: Record) -> None:
    """Put it on record."""
    lines = (entry.identity, entry.source, *entry.decisions)
    _file(judge).write_text("\n".join(lines) + "\n", encoding="utf-8")


def renewed(judge: str, entry: Record) -> Record:
    """The same under a new identity, which is written to where the judge has it from."""
    identity = entry.source
    if judge == ENDPOINT:
        FROZEN_SOURCE.write_text(f"{entry.source}\n", encoding="utf-8")
        identity = identity_of(judge)
    else:
        table = TABLE.read_text(encoding="utf-8")
        TABLE.write_text(table.replace(entry.identity, identity), encoding="utf-8")
    return Record(identity, entry.source, entry.decisions)


def _file(judge: str) -> Path:
    return RECORDS / f"{judge}.txt"


def main() -> None:
    """Compare with what is on record; write it, or say which decisions changed and exit 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.judge_identity", allow_abbrev=False)
    parser.add_argument("judge", choices=SOURCES)
    parser.add_argument("--renew", action="store_true", help="it decides otherwise, and should")
    options = parser.parse_args()
    before, now = recorded(options.judge), today(options.judge)
    lines = zip(before.decisions, now.decisions, strict=False)
    changed = sum(was != is_now for was, is_now in lines) + abs(
        len(before.decisions) - len(now.decisions)
    )
    if changed and not options.renew:
        sys.exit(f"{changed} of {len(now.decisions)} decisions changed: mend it, or give --renew")
    record(options.judge, renewed(options.judge, now) if changed else now)
    print(f"{changed} of {len(now.decisions)} decisions changed; on record")


if __name__ == "__main__":
    main()
