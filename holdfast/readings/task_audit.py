"""Training rows read before a GPU hour: which of them are likely to take refusals away, and why.

Four views of a row, each on its own. `shift` and `influence` are numbers of a model
(workers/inference/row_scores.py) and rank the rows among themselves: a row's risk is the larger of
its two percentiles. `near` is the harmful request that its prompt nearly repeats, by the words that
they share; `judged` is what a judge makes of its answer. A row is dropped where it nearly repeats a
harmful request and is not known to refuse it, where the judge calls its answer compliance with
harm, or where its risk is among the highest `share`. What could not be scored is said, and stays.
Pure but for the suites and the judge that it is given.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor
from pathlib import Path
from typing import Any

from holdfast.judges.judgement import Judgement, Label
from holdfast.repairs.task_data import Row
from holdfast.suites import BUILT_IN, installed_names, load_suite
from holdfast.suites.duplicates import near_duplicates, text_of
from holdfast.suites.items import FITS

SCORES = ("shift", "influence")
SHOWN = 10  # rows that the text names

Read = Callable[[str, str], Judgement]
Scores = Mapping[int, Mapping[str, float]]  # by line, then by score


@dataclass(frozen=True, slots=True)
class AuditedRow:
    """One row: its line, its scores (None: not scored), and why it is dropped, if it is."""

    line: int
    shift: float | None
    influence: float | None
    risk: float | None
    near: str | None
    judged: Label | None
    dropped: str | None


@dataclass(frozen=True, slots=True)
class TaskAudit:
    """All rows in the file's order, and the scores that were asked for."""

    rows: tuple[AuditedRow, ...]
    scores: tuple[str, ...]

    @property
    def kept(self) -> frozenset[int]:
        """The lines of the rows that stay."""
        return frozenset(row.line for row in self.rows if row.dropped is None)

    @property
    def unscored(self) -> tuple[int, ...]:
        """The lines of rows that a score which was asked for is missing of."""
        return tuple(
            row.line
            for row in self.rows
            if any(getattr(row, score) is None for score in self.scores)
        )

    def document(self) -> dict[str, Any]:
        """The report: counts, and every row, the riskiest first."""
        return {
            "rows": len(self.rows),
            "kept": len(self.kept),
            "dropped": len(self.rows) - len(self.kept),
            "unscored": list(self.unscored),
            "scores": list(self.scores),
            "ranked": [asdict(row) for row in ranked(self.rows)],
        }


def near_harmful(rows: Sequence[Row], installed: Path) -> list[str | None]:
    """For each row the harmful request, as SUITE:ID, that one of its user turns nearly repeats."""
    names = dict.fromkeys((*BUILT_IN, *installed_names(installed)))
    requests = {
        f"{name}:{item.id}": (text_of(item),)
        for name in names
        for item in load_suite(name, installed).items
        if name == "harmful" or (FITS["harmful"](item) and getattr(item, "kind", None))
    }
    turns = [
        (at, words)
        for at, row in enumerate(rows)
        for role, words in row.prompt_turns
        if role == "user"
    ]
    near: list[str | None] = [None] * len(rows)
    names_found = near_duplicates([words for _, words in turns], requests)
    for (at, _), name in zip(turns, names_found, strict=True):
        near[at] = near[at] or name
    return near


def labels_of(
    rows: Sequence[Row], near: Sequence[str | None], read: Read | None, *, every: bool
) -> list[Label | None]:
    """The judge's label of every row's answer, or of those to harmful requests alone.

    A judge that tells refusals from answers says nothing of harm where nothing harmful was asked.
    """
    return [
        read(row.prompt, row.completion).label if read and (every or name) else None
        for row, name in zip(rows, near, strict=True)
    ]


def audited(
    rows: Sequence[Row],
    scores: Scores,
    near: Sequence[str | None],
    labels: Sequence[Label | None],
    share: float,
    *,
    wanted: Sequence[str] = SCORES,
) -> TaskAudit:
    """The rows with their risk, and the `share` of them with the highest one dropped."""
    percentiles = [
        percentiles_of({line: of[name] for line, of in scores.items() if name in of})
        for name in wanted
    ]
    risks = {
        row.line: max((p[row.line] for p in percentiles if row.line in p), default=None)
        for row in rows
    }
    highest = sorted(
        (line for line, risk in risks.items() if risk is not None),
        key=lambda line: (-(risks[line] or 0.0), line),
    )[: floor(share * len(rows))]
    risky = frozenset(highest)
    return TaskAudit(
        tuple(
            AuditedRow(
                row.line,
                scores.get(row.line, {}).get("shift"),
                scores.get(row.line, {}).get("influence"),
                risks[row.line],
                name,
                label,
                _reason(name, label, risky=row.line in risky),
            )
            for row, name, label in zip(rows, near, labels, strict=True)
        ),
        tuple(wanted),
    )


def percentiles_of(numbers: Mapping[int, float]) -> dict[int, float]:
    """The share of the other rows that each one's number exceeds, ties counting half."""
    ordered = sorted(numbers.values())
    if len(ordered) < 2:
        return dict.fromkeys(numbers, 0.0)
    first: dict[float, int] = {}
    count: dict[float, int] = {}
    for at, number in enumerate(ordered):
        first.setdefault(number, at)
        count[number] = count.get(number, 0) + 1
    return {
        line: (first[number] + (count[number] - 1) / 2) / (len(ordered) - 1)
        for line, number in numbers.items()
    }


def ranked(rows: Sequence[AuditedRow]) -> list[AuditedRow]:
    """The rows that are dropped for their words first, then by risk, then as in the file."""
    return sorted(rows, key=lambda row: (not _worded(row), -(row.risk or 0.0), row.line))


def in_words(audit: TaskAudit) -> str:
    """The report for people: how many, why, and the riskiest by their lines."""
    dropped = [row for row in ranked(audit.rows) if row.dropped is not None]
    lines = [f"{len(audit.rows)} rows, {len(dropped)} dropped, {len(audit.kept)} kept"]
    reasons = Counter(row.dropped for row in dropped)
    lines += [f"  {count} {reason}" for reason, count in reasons.items()]
    if audit.unscored:
        lines.append(f"  {len(audit.unscored)} rows could not be scored, and stay")
    lines += [_line(row) for row in dropped[:SHOWN]]
    if len(dropped) > SHOWN:
        lines.append(f"  and {len(dropped) - SHOWN} more, all in the report")
    return "\n".join(lines)


def _reason(name: str | None, label: Label | None, *, risky: bool) -> str | None:
    if label == "compliance":
        return "comply with harm, as the judge reads them"
    if name is not None and label not in {"refusal", "partial"}:
        return "nearly repeat a harmful request"
    return "have a risk among the highest" if risky else None


def _worded(row: AuditedRow) -> bool:
    return row.dropped is not None and _reason(row.near, row.judged, risky=False) is not None


def _line(row: AuditedRow) -> str:
    numbers = [
        f"{name} {number:.2f}"
        for name, number in (("shift", row.shift), ("influence", row.influence))
        if number is not None
    ]
    near = [] if row.near is None else [f"as {row.near}"]
    return f"line {row.line}: {', '.join([*near, *numbers])}"
