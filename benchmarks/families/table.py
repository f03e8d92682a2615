"""The table of docs/models.md, rendered from what was measured."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.families.outcome import Key, Outcome, measured

PAGE = Path(__file__).parent.parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- families: make check-families -->\n", "<!-- end of families -->\n"


def rendered(outcomes: Mapping[Key, Outcome]) -> str:
    """One line a family, one column a backend in the newest version that was measured."""
    newest = {backend: version for backend, version, _ in sorted(outcomes)}
    heads = " | ".join(f"{backend} {version}" for backend, version in newest.items())
    lines = [f"| model_type | {heads} |", "|---" * (len(newest) + 1) + "|"]
    for family in sorted({family for *_, family in outcomes}):
        cells = [outcomes.get((*backend, family)) for backend in newest.items()]
        lines.append(f"| {family} | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, outcomes: Mapping[Key, Outcome]) -> str:
    """The page with its table written anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n" + rendered(outcomes) + "\n" + END + after


def write_table() -> None:
    """Write docs/models.md from the file of outcomes."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), measured()), encoding="utf-8")


def _cell(outcome: Outcome | None) -> str:
    return "not run" if outcome is None else outcome.in_words()
