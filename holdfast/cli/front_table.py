"""A ladder's candidates as people read them: a table in plain text or Markdown."""

from collections.abc import Iterator, Sequence

from holdfast.api.wire import Candidate
from holdfast.ladder.rungs import in_words
from holdfast.report.escapes import for_markdown, for_terminal

SCORES = ("harm", "over-refusal", "worst group", "task kept", "wrong")
HEADINGS = ("try", "result", *SCORES, "minutes", "front")


def rows_of(candidates: Sequence[Candidate]) -> Iterator[tuple[str, ...]]:
    """One row a candidate, in the order that they were tried."""
    for candidate in candidates:
        scores = candidate.scores
        retention = None if scores.task is None else 1 - scores.task
        yield (
            name_of(candidate),
            result_of(candidate),
            *map(_number, (scores.safety, scores.over_refusal, scores.group_forgetting)),
            *map(_number, (retention, scores.capability)),
            f"{candidate.seconds / 60:.1f}",
            "chosen" if candidate.chosen else "yes" if candidate.pareto else "",
        )


def name_of(candidate: Candidate) -> str:
    """A try by its recipe and options."""
    options = ", ".join(
        in_words(value) if isinstance(value, dict) else f"{value}"
        for value in candidate.options.values()
    )
    return f"{candidate.recipe} {options}".rstrip()


def result_of(candidate: Candidate) -> str:
    """How a try ended, in a word or two."""
    if candidate.error is not None:
        return "broke"
    if candidate.dropped is not None:
        return "dropped"
    if candidate.confirmed is not None:
        return f"confirmed: {candidate.confirmed}"
    return candidate.verdict or candidate.status.value


def front_text(candidates: Sequence[Candidate]) -> str:
    """The table for a terminal."""
    table = [HEADINGS, *rows_of(candidates)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
    return "\n".join(
        for_terminal(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
        for row in table
    )


def front_markdown(candidates: Sequence[Candidate]) -> str:
    """The table in Markdown."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *rows_of(candidates)]
    return "\n".join(f"| {' | '.join(for_markdown(cell) for cell in row)} |" for row in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
