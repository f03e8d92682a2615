"""A chain's report: what each stage forgot, and all since the first, by group, as tables."""

from collections.abc import Iterator, Sequence

from holdfast.readings.chain import Chain, GroupChange, OrderEffect, ProbeChange, Step
from holdfast.report.escapes import for_html, for_markdown
from holdfast.report.html import POLICY, STYLE
from holdfast.report.numbers import number, spread_of

FORMATS = ("text", "md", "html")
HEADINGS = ("probe, group", "n", "before", "after", "forgot", "interval", "biased", "p", "shrunken")
LEGEND = (
    "forgot: mean change of badness on the same items; biased: that less what all other groups "
    "forgot, with Holm's p; shrunken: less what chance explains. Numbers only, no verdict."
)


def chain_markdown(lineage: Chain) -> str:
    """GitHub-flavoured Markdown; every cell is escaped."""
    lines = ["## What the chain forgot", ""]
    lines += [f"- {for_markdown(sentence)}" for sentence in _sentences(lineage)]
    for step in lineage.steps:
        lines += ["", f"### {for_markdown(title_of(step))}", ""]
        lines += [f"- {for_markdown(note)}" for note in _notes(step)]
        if rows := [*_rows(step)]:
            lines += ["", *_markdown_table(rows)]
    return "\n".join([*lines, "", for_markdown(LEGEND)]) + "\n"


def chain_html(lineage: Chain) -> str:
    """One page without script or request; every word from a file is escaped."""
    parts = [f"<p>{for_html(sentence)}</p>" for sentence in _sentences(lineage)]
    for step in lineage.steps:
        parts.append(f"<h2>{for_html(title_of(step))}</h2>")
        parts += [f"<p>{for_html(note)}</p>" for note in _notes(step)]
        parts.append(_html_table([*_rows(step)]))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Holdfast: a chain</title><style>{STYLE}</style></head><body><main>"
        f"<h1>What the chain forgot</h1>{''.join(parts)}<p>{for_html(LEGEND)}</p></main></body>"
        "</html>\n"
    )


def title_of(step: Step) -> str:
    """The two checkpoints of a step, and whether it is all stages together."""
    since = "" if step.kind == "stage" else " (since the first)"
    return f"{step.before} -> {step.after}{since}"


def order_sentence(order: OrderEffect) -> str:
    """The effect of the order of two stages, in a sentence."""
    effect, first, capability, last = (
        number(x, signed=True)
        for x in (
            order.effect,
            order.safety_forgotten,
            order.capability_forgotten,
            order.safety_in_the_other_order,
        )
    )
    return (
        f"order effect {effect}: taught first, {order.safety} lost {first} and {order.capability} "
        f"{capability}; taught last, {order.safety} moved by {last}"
    )


def _sentences(lineage: Chain) -> Iterator[str]:
    yield " -> ".join(lineage.checkpoints)
    for name in lineage.unmeasured:
        yield f"before the first, never evaluated: {name}"
    if lineage.order is not None:
        yield order_sentence(lineage.order)


def _notes(step: Step) -> Iterator[str]:
    """Why a step or a probe has no numbers, and how unequally groups forgot."""
    yield from (f"no numbers: {why}" for why in step.obstacles)
    for change in step.probes:
        if change.trouble is not None:
            yield f"{change.probe}: no numbers: {change.trouble}"
        elif change.spread is not None:
            yield f"{change.probe}: {spread_of(change.spread)}"


def _rows(step: Step) -> Iterator[tuple[str, ...]]:
    for change in step.probes:
        if change.trouble is None:
            yield _of_probe(change)
            yield from (_of_group(group) for group in change.groups)


def _of_probe(change: ProbeChange) -> tuple[str, ...]:
    ends = change.ci and " to ".join(number(end, signed=True) for end in change.ci)
    lost = f" ({change.n_unscored} lost)" if change.n_unscored else ""
    return (
        change.probe,
        f"{change.n}{lost}",
        number(change.before),
        number(change.after),
        number(change.forgetting, signed=True),
        ends or "-",
        *("-",) * 3,
    )


def _of_group(group: GroupChange) -> tuple[str, ...]:
    return (
        f"group {group.group}",
        str(group.n),
        *("-",) * 2,
        number(group.forgetting, signed=True),
        "-",
        number(group.biased, signed=True),
        f"{group.p_biased:.2g}",
        number(group.shrunken, signed=True),
    )


def _markdown_table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [tuple(map(for_markdown, row)) for row in rows]
    return [f"| {' | '.join(row)} |" for row in (HEADINGS, ("---",) * len(HEADINGS), *cells)]


def _html_table(rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in HEADINGS)
    body = "".join(
        f"<tr>{''.join(f'<td>{for_html(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{heads}</tr>{body}</table></div>' if rows else ""
