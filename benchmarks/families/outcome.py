"""What came out for a family on an engine, and the file in which all of it is kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "measured.jsonl"

Key = tuple[str, str, str]  # backend, its version, family


@dataclass(frozen=True, slots=True)
class Outcome:
    """`refused` or `crashed` in the engine's words, or how far its scores were from plain passes.

    `reload_exact`: whether weights loaded in place computed what a fresh start does; None where an
    engine always starts afresh.
    """

    refused: str | None = None
    crashed: str | None = None
    nats: float | None = None
    right: bool = False
    reload_exact: bool | None = None

    def fields(self) -> dict[str, Any]:
        """As JSON has it, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def in_words(self) -> str:
        """As a cell of the table has it."""
        if self.nats is None:
            return "does not run"
        words = "right" if self.right else f"**off by {self.nats:.2g} nats**"
        if self.reload_exact is None:
            return words
        return f"{words}, {'reloads' if self.reload_exact else 'starts again'}"


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Those of one family in several dtypes as one: the first that broke down, else the worst."""
    for outcome in outcomes:
        if outcome.nats is None:
            return outcome
    return Outcome(
        nats=max(outcome.nats or 0.0 for outcome in outcomes),
        right=all(outcome.right for outcome in outcomes),
        reload_exact=all(outcome.reload_exact for outcome in outcomes),
    )


def measured() -> dict[Key, Outcome]:
    """All outcomes so far."""
    if not FILE.is_file():
        return {}
    rows = map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
    return {(row[0], row[1], row[2]): Outcome(**row[3]) for row in rows}


def save(key: Key, outcome: Outcome) -> None:
    """Put one outcome into the file, in place of an older one of the same key."""
    outcomes = measured() | {key: outcome}
    lines = [json.dumps([*key, found.fields()]) for key, found in sorted(outcomes.items())]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
