"""What came out for a family on an engine, and the file in which all of it is kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "measured.jsonl"

Key = tuple[str, str, str]  # backend, its version, family


@dataclass(frozen=True, slots=True)
class Outcome:
    """`refused` or `crashed` in the engine's words, or how far its scores were from plain passes.

    `reload_exact`: whether weights loaded in place computed what a fresh start does; None where an
    engine always starts afresh. `only`: the dtypes in which it ran at all, where it broke down in
    another one.
    """

    refused: str | None = None
    crashed: str | None = None
    nats: float | None = None
    right: bool = False
    reload_exact: bool | None = None
    only: str | None = None

    def fields(self) -> dict[str, Any]:
        """As JSON has it, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def in_words(self) -> str:
        """As a cell of the table has it."""
        if self.nats is None:
            return "does not run"
        words = "right" if self.right else f"**off by {self.nats:.2g} nats**"
        if isnan(self.nats):
            words = "**computes no numbers**"
        words += f" in {self.only} alone" if self.only else ""
        if self.reload_exact is None:
            return words
        return f"{words}, {'reloads' if self.reload_exact else 'starts again'}"


def together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """Those of one family by dtype as one: the worst of where it ran, exact where all were."""
    broken = [outcome for outcome in outcomes.values() if outcome.nats is None]
    ran = {dtype: outcome for dtype, outcome in outcomes.items() if outcome.nats is not None}
    if not ran:
        return broken[0]
    return Outcome(
        refused=broken[0].refused if broken else None,
        crashed=broken[0].crashed if broken else None,
        nats=max(outcome.nats or 0.0 for outcome in ran.values()),
        right=all(outcome.right for outcome in ran.values()),
        reload_exact=all(outcome.reload_exact for outcome in outcomes.values()),
        only=" and ".join(ran) if broken else None,
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
