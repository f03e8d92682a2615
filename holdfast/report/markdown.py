"""The report for a pull request: blocking checks first, then groups, then why.

No model text, unless somebody who may read it asked for that of the worst flips.
"""

from collections.abc import Iterator, Sequence

from holdfast.readings.noise import in_words
from holdfast.report.about import next_steps, subject_of
from holdfast.report.beside import Extras, Worst
from holdfast.report.escapes import for_markdown
from holdfast.report.numbers import bias_of, change_of, interval_of, margin_of, number, spread_of
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult

HEADER = (
    "Check",
    "Outcome",
    "Metric",
    "Baseline",
    "Candidate",
    "Change",
    "Interval",
    "Bound",
    "Sees",
    "n",
)
GROUP_HEADER = (
    "Group",
    "Outcome",
    "Baseline",
    "Candidate",
    "Change",
    "Interval",
    "Biased",
    "Shrunken",
    "n",
    "Lost",
)
FLIP_HEADER = ("Item", "Cluster", "Group", "Variant", "Badness")


def render_markdown(verdict: Verdict, extras: Extras) -> str:
    """GitHub-flavoured Markdown; every cell is escaped."""
    lines = [f"## Holdfast: {verdict.verdict.upper()}", ""]
    if subject := subject_of(extras.about):
        lines += [for_markdown(subject), ""]
    ranked = sorted(verdict.checks, key=lambda check: check.tier != "blocking")
    lines += _table(HEADER, [_row(check) for check in ranked])
    for check in ranked:
        lines += [*_groups(check), *_figures(check), *_worst(check.id, extras.worst.get(check.id))]
    lines += _section("Because", verdict.reasons)
    lines += _section("What to do next", next_steps(verdict, extras.about))
    lines += _section("Warnings", verdict.warnings)
    lines += _section("Noise floor", in_words(extras.noise))
    lines += ["", f"Policy `{verdict.policy_digest[:12]}`, verdict `{verdict.digest[:12]}`."]
    return "\n".join(lines) + "\n"


def _row(check: CheckResult) -> tuple[str, ...]:
    outcome = f"**{check.outcome}**" if check.outcome != "pass" else check.outcome
    return (
        for_markdown(check.id),
        f"{check.outcome} (advisory)" if check.tier == "advisory" else outcome,
        for_markdown(check.metric.replace("_", " ")),
        number(check.baseline),
        number(check.candidate),
        change_of(check),
        interval_of(check),
        for_markdown(margin_of(check)),
        number(check.mde),
        f"{check.n}" + (f" ({check.n_unscored} lost)" if check.n_unscored else ""),
    )


def _groups(check: CheckResult) -> Iterator[str]:
    if not check.groups:
        return
    yield from ("", f"### {for_markdown(check.id)} by group", "")
    yield from _table(
        GROUP_HEADER,
        [
            (
                for_markdown(row.group),
                row.outcome or "-",
                number(row.baseline),
                number(row.candidate),
                number(row.delta, signed=True),
                "-" if row.ci is None else " to ".join(number(e, signed=True) for e in row.ci),
                number(row.biased, signed=True),
                number(row.shrunken, signed=True),
                str(row.n),
                str(row.n_unscored),
            )
            for row in check.groups
        ],
    )
    if check.spread:
        yield from ("", for_markdown(f"{spread_of(check.spread)}."))
    if sentence := bias_of(check):
        yield from ("", for_markdown(f"{sentence}."))


def _figures(check: CheckResult) -> Iterator[str]:
    """A table of the check's figures, which decide nothing."""
    if not check.figures:
        return
    yield from ("", f"### {for_markdown(check.id)}, beside the check", "")
    yield from _table(
        ("figure", "baseline", "candidate"),
        [
            (for_markdown(figure.name), number(figure.baseline), number(figure.candidate))
            for figure in check.figures
        ],
    )


def _worst(probe: str, worst: Worst | None) -> Iterator[str]:
    """The check's worst flips, with both answers only where somebody asked for them."""
    if worst is None:
        return
    shown = f"{len(worst.flips)} of {worst.worse}"
    yield from ("", f"### {for_markdown(probe)}, the worst flips ({shown})", "")
    yield from _table(
        FLIP_HEADER,
        [
            (
                for_markdown(flip.item),
                for_markdown(flip.cluster),
                for_markdown(flip.group or "-"),
                for_markdown(flip.variant),
                f"{number(flip.before)} to {number(flip.after)}",
            )
            for flip in worst.flips
        ],
    )
    for flip in worst.flips:
        for side, text in zip(("baseline", "candidate"), flip.texts or (), strict=False):
            yield from ("", f"{for_markdown(flip.item)}, {side}: {for_markdown(text)}")


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return []
    return ["", f"### {title}", "", *(f"- {for_markdown(sentence)}" for sentence in sentences)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    body = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in body]
