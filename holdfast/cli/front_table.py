"""A ladder's candidates as people read them: tables in plain text or Markdown.

Recipes with two objectives have a second one: what compromise each came to, and what it took.
"""

from collections.abc import Iterator, Sequence

from holdfast.api.wire import Candidate, Remediation
from holdfast.ladder.rungs import in_words
from holdfast.report.escapes import for_markdown, for_terminal

SCORES = ("harm", "over-refusal", "worst group", "task kept", "wrong")
HEADINGS = ("try", "result", *SCORES, "minutes", "front")
MEASURES = {  # heading -> field of Compromise
    "task loss": "task_loss",
    "preference loss": "preference_loss",
    "task gap": "task_optimality_gap",
    "preference gap": "preference_optimality_gap",
    "ideal distance": "ideal_distance",
    "normalised": "normalised_distance",
    "hypervolume": "hypervolume",
    "time": "time_beside_plain",
    "memory": "memory_beside_plain",
}
COMPROMISE = (
    "compromise of two objectives (losses and gaps in nats; time and memory as multiples of plain "
    "fine-tuning's)"
)
Table = list[tuple[str, ...]]


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


def compromise_table(candidates: Sequence[Candidate]) -> Table:
    """The measures of every try with two objectives under their headings; empty without one."""
    rows = [
        (name_of(candidate), *(_number(getattr(measures, field)) for field in MEASURES.values()))
        for candidate in candidates
        if (measures := candidate.compromise) is not None
    ]
    return [("try", *MEASURES), *rows] if rows else []


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
    """The tables for a terminal."""
    text = _in_columns([HEADINGS, *rows_of(candidates)])
    measures = compromise_table(candidates)
    return f"{text}\n\n{COMPROMISE}\n{_in_columns(measures)}" if measures else text


def _in_columns(table: Table) -> str:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join(
        for_terminal(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
        for row in table
    )


def front_markdown(candidates: Sequence[Candidate]) -> str:
    """The tables in Markdown."""
    text = _in_markdown([HEADINGS, *rows_of(candidates)])
    measures = compromise_table(candidates)
    return f"{text}\n\n{COMPROMISE}:\n\n{_in_markdown(measures)}" if measures else text


def _in_markdown(table: Table) -> str:
    head, *rows = (f"| {' | '.join(for_markdown(cell) for cell in row)} |" for row in table)
    return "\n".join([head, f"|{'---|' * len(table[0])}", *rows])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def no_repair(ladder: Remediation) -> str | None:
    """Why a ladder ended without a repair, in a sentence; None for any other end."""
    step = ladder.progress.get("step")  # of a single repair it is the number of a training step
    if not isinstance(step, dict) or step.get("found") is not None:
        return None
    because: str | None = step.get("because")
    return because
