"""The report that a terminal shows: the verdict first, one aligned line a check, then why."""

from collections.abc import Sequence

from holdfast.readings.noise import in_words
from holdfast.report.about import next_steps, subject_of
from holdfast.report.beside import Extras
from holdfast.report.escapes import for_terminal
from holdfast.report.numbers import bias_of, change_of, interval_of, margin_of, number, spread_of
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult

HEADER = (
    "check",
    "outcome",
    "metric",
    "baseline",
    "candidate",
    "change",
    "interval",
    "bound",
    "sees",
    "n",
)

GROUP_HEADER = ("  group", "outcome", "rates", "change", "biased", "shrunken", "n")

LEGEND = (
    "interval: the margins that neither test refutes; "
    "sees: the smallest worsening that would show with power 0.8"
)
GROUP_LEGEND = (
    "biased: change less that of all other groups; shrunken: change less what chance explains"
)


def render_text(verdict: Verdict, extras: Extras) -> str:
    """Plain text, no colours, no trailing spaces; starts with the verdict in capitals."""
    subject = subject_of(extras.about)
    lines = [f"{verdict.verdict.upper()}  (exit code {verdict.exit_code})"]
    lines += [for_terminal(subject), ""] if subject else [""]
    lines += _table([HEADER, *(_row(check) for check in verdict.checks)])
    for check in verdict.checks:
        lines += _groups(check) + _figures(check)
    lines += ["", LEGEND]
    lines += _section("because", verdict.reasons)
    lines += _section("what to do next", next_steps(verdict, extras.about))
    lines += _section("warnings", verdict.warnings)
    lines += _section("noise floor", in_words(extras.noise))
    lines += ["", f"policy {verdict.policy_digest[:12]}  verdict {verdict.digest[:12]}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _row(check: CheckResult) -> tuple[str, ...]:
    advisory = " (advisory)" if check.tier == "advisory" else ""
    return (
        for_terminal(check.id),
        check.outcome + advisory,
        check.metric.replace("_", " "),
        number(check.baseline),
        number(check.candidate),
        change_of(check),
        interval_of(check),
        margin_of(check),
        number(check.mde),
        f"{check.n}" + (f" ({check.n_unscored} lost)" if check.n_unscored else ""),
    )


def _groups(check: CheckResult) -> list[str]:
    if not check.groups:
        return []
    rows = [
        (
            f"  {for_terminal(row.group)}",
            row.outcome or "",
            f"{number(row.baseline)} -> {number(row.candidate)}",
            number(row.delta, signed=True),
            number(row.biased, signed=True),
            number(row.shrunken, signed=True),
            str(row.n),
        )
        for row in check.groups
    ]
    spread = [f"  {spread_of(check.spread)}"] if check.spread else []
    bias = [f"  {sentence}"] if (sentence := bias_of(check)) else []
    heading = f"{for_terminal(check.id)} by group"
    return ["", heading, *_table([GROUP_HEADER, *rows]), *spread, *bias, f"  {GROUP_LEGEND}"]


def _figures(check: CheckResult) -> list[str]:
    """A table of the check's figures, which decide nothing."""
    if not check.figures:
        return []
    rows = [
        (
            f"  {for_terminal(figure.name)}",
            f"{number(figure.baseline)} -> {number(figure.candidate)}",
        )
        for figure in check.figures
    ]
    return ["", f"{for_terminal(check.id)}, beside the check", *_table(rows)]


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return ["", title, *(f"  - {for_terminal(sentence)}" for sentence in sentences)]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
