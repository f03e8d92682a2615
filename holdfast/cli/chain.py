"""`holdfast chain`: what each stage of a lineage forgot, from files or the service. No verdict."""

import argparse
from collections.abc import Iterator

from holdfast.cli.chain_report import chain_html, chain_markdown, order_sentence, title_of
from holdfast.cli.command import Usage, emit
from holdfast.cli.reports import print_or_write
from holdfast.errors import UnknownProbe
from holdfast.evidence.file import read_evidence
from holdfast.ids import is_id
from holdfast.probes.table import spec_of
from holdfast.readings.chain import (
    Chain,
    GroupChange,
    ProbeChange,
    Step,
    chain_of,
    order_effect_of,
)
from holdfast.report.escapes import for_terminal
from holdfast.report.numbers import number, spread_of
from holdfast.stack.connect import connect


def chain(options: argparse.Namespace) -> int:
    """Show forgetting per stage and since the first checkpoint; 0 whatever was forgotten."""
    for name in (options.safety, options.capability):
        if spec_of(name).measure:
            raise UnknownProbe(f"{name} is no rate of this version")
    if len(options.evidence) == 1 and is_id(options.evidence[0], "ckpt"):
        return _from_the_service(options)
    words = [*options.evidence, *(options.other_order or ()), options.anchor or ""]
    if any(is_id(word, "ckpt") for word in words):
        raise Usage("a checkpoint's chain is asked for by its id alone, found files beside it")
    if options.other_order is not None and len(options.other_order) != 2:
        raise Usage("--other-order takes two files, B.jsonl BA.jsonl")
    files = [read_evidence(path) for path in options.evidence]
    if options.anchor is not None:
        files = [read_evidence(options.anchor), *files]
    lineage = chain_of(files)
    if options.other_order is not None:
        if len(options.evidence) < 2:
            raise Usage("--other-order compares the last stage A AB with B BA, found one file")
        other = [read_evidence(path) for path in options.other_order]
        effect = order_effect_of(
            (files[-2], files[-1]),
            (other[0], other[1]),
            safety=options.safety,
            capability=options.capability,
        )
        lineage = lineage.model_copy(update={"order": effect})
    return _show(options, lineage)


def _from_the_service(options: argparse.Namespace) -> int:
    """The same of a checkpoint that the service knows: `--anchor` and `--other-order` are ids."""
    order = options.other_order or []
    if not all(is_id(word, "ckpt") for word in (*order, *filter(None, [options.anchor]))):
        raise Usage("--anchor and --other-order of a checkpoint take an id, found a file")
    if len(order) > 1:
        raise Usage("--other-order of a checkpoint is one id: that of the other order's last")
    query = {"safety": options.safety, "capability": options.capability}
    query |= {} if options.anchor is None else {"anchor": options.anchor}
    query |= {"other_order": order[0]} if order else {}
    with connect() as client:
        lineage = client.chain(options.evidence[0], **query)
    return _show(options, lineage)


def _show(options: argparse.Namespace, lineage: Chain) -> int:
    """Print the chain, or write it to the file of --output, in the format asked for."""
    if options.json or (options.format == "text" and options.output is None):
        emit(options, lineage.model_dump(mode="json"), _text(lineage))
    else:
        text = {"text": _text, "md": chain_markdown, "html": chain_html}[options.format](lineage)
        print_or_write(options, text, options.format)
    return 0


def _text(lineage: Chain) -> str:
    order = [] if lineage.order is None else [order_sentence(lineage.order)]
    before = (f"before the first, never evaluated: {name}" for name in lineage.unmeasured)
    return "\n".join(
        [*map(for_terminal, before)]
        + [line for step in lineage.steps for line in _step_lines(step)]
        + order
    )


def _step_lines(step: Step) -> Iterator[str]:
    yield for_terminal(title_of(step))
    yield from (f"  no numbers: {for_terminal(why)}" for why in step.obstacles)
    for change in step.probes:
        yield f"  {for_terminal(change.probe):<16} {_numbers(change)}"
        yield from (
            f"    {for_terminal(group.group):<20} {_group(group)}" for group in change.groups
        )
        if change.spread is not None:
            yield f"    {spread_of(change.spread)}"


def _group(change: GroupChange) -> str:
    """F, its excess over the others with Holm's p, and what chance leaves of it."""
    shift, relative, biased, shrunken = (
        number(x, signed=True)
        for x in (change.forgetting, change.relative, change.biased, change.shrunken)
    )
    return (
        f"{shift}  relative {relative}  biased {biased} (p {change.p_biased:.2g})  "
        f"shrunken {shrunken}  n {change.n}"
    )


def _numbers(change: ProbeChange) -> str:
    if change.trouble is not None:
        return f"no numbers: {for_terminal(change.trouble)}"
    rates = f"{number(change.before)} -> {number(change.after)}"
    interval = "" if change.ci is None else f" [{change.ci[0]:+.2f}, {change.ci[1]:+.2f}]"
    lost = f", {change.n_unscored} lost" if change.n_unscored else ""
    return f"{rates}  {number(change.forgetting, signed=True)}{interval}  n {change.n}{lost}"
