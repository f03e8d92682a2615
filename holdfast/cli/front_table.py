"""A ladder's candidates as people read them: a table in plain text or Markdown."""

from collections.abc import Iterator, Sequence

from holdfast.api.wire import Candidate
from holdfast.ladder.rungs import in_words
from holdfast.report.escapes import for_markdown, for_terminal

SCORES = ("harm", "over-refusal", "worst group", "task kept", "wrong")
HEADINGS = ("try", "result", *SCORES, "minutes", "front")


def rows_of(candidates: Sequence[Candidate]) -> Iterator[tuple[str, ...]]:
    """One row a candidate, in the order that they were tried."""
    for one in candidates:
        scores = one.scores
        kept = None if scores.task is None else 1 - scores.task
        yield (
            name_of(one),
            result_of(one),
            *map(_number, (scores.safety, scores.over_refusal, scores.group_forgetting)),
            *map(_number, (kept, scores.capability)),
            f"{one.seconds / 60:.1f}",
            "chosen" if one.chosen else "yes" if one.pareto else "",
        )


def name_of(one: Candidate) -> str:
    """The recipe with its options."""
    told = ", ".join(
        in_words(value) if isinstance(value, dict) else f"{value}" for value in one.options.values()
    )
    return f"{one.recipe} {told}".rstrip()


def result_of(one: Candidate) -> str:
    """What became of it, in a word or two."""
    if one.error is not None:
        return "broke"
    if one.dropped is not None:
        return "dropped"
    if one.confirmed is not None:
        return f"confirmed: {one.confirmed}"
    return one.verdict or one.status.value


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
