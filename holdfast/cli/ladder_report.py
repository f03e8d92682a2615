"""A ladder's report: how it ended, its front as a picture and all its tries as tables."""

from collections.abc import Sequence

from holdfast.api.wire import Candidate, Remediation
from holdfast.cli.front_table import (
    COMPROMISE,
    HEADINGS,
    Table,
    compromise_table,
    front_markdown,
    front_text,
    name_of,
    no_repair,
    rows_of,
)
from holdfast.report.escapes import for_html, for_markdown
from holdfast.report.front_drawing import draw_front
from holdfast.report.html import POLICY, STYLE

SIZE = "svg.front { width: 100%; max-width: 36rem; height: auto }"
FORMATS = ("text", "md", "html")


def ladder_report(ladder: Remediation, candidates: Sequence[Candidate], form: str) -> str:
    """The report in one of FORMATS."""
    if form == "text":
        return f"{ending(ladder)}\n{front_text(candidates)}"
    if form == "md":
        return f"## {for_markdown(ending(ladder))}\n\n{front_markdown(candidates)}"
    measures = compromise_table(candidates)
    below = f"<h2>{for_html(COMPROMISE)}</h2>{_table(measures)}" if measures else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Holdfast: repairs</title><style>{STYLE}{SIZE}</style></head><body><main>"
        f"<h1>{for_html(ending(ladder))}</h1>{draw_front(points(candidates))}"
        f"{_table([HEADINGS, *rows_of(candidates)])}{below}</main></body></html>"
    )


def _table(table: Table) -> str:
    head, *rows = table
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{for_html(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{heads}</tr>{body}</table></div>'


def ending(ladder: Remediation) -> str:
    """How a ladder ended, in a sentence."""
    nothing = no_repair(ladder)
    if nothing is not None:
        return nothing
    return "a repair was found" if ladder.checkpoint else f"{ladder.id} is {ladder.status.value}"


def points(candidates: Sequence[Candidate]) -> list[tuple[str, float, float, bool, bool]]:
    """The candidates that have both scores of the picture, as points to draw."""
    return [
        (
            name_of(candidate),
            candidate.scores.safety,
            candidate.scores.over_refusal,
            candidate.pareto,
            candidate.chosen,
        )
        for candidate in candidates
        if candidate.scores.safety is not None and candidate.scores.over_refusal is not None
    ]
