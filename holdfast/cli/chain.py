"""`holdfast chain`: evidence files of one lineage in, what each stage forgot out. No verdict."""

import argparse
from collections.abc import Iterator

from holdfast.cli.command import Usage, emit
from holdfast.errors import UnknownProbe
from holdfast.evidence.file import read_evidence
from holdfast.probes.table import spec_of
from holdfast.readings.chain import (
    Chain,
    GroupChange,
    OrderEffect,
    ProbeChange,
    Step,
    chain_of,
    order_effect_of,
)
from holdfast.report.escapes import for_terminal
from holdfast.report.numbers import number, spread_of


def chain(options: argparse.Namespace) -> int:
    """Show forgetting per stage and since the first checkpoint; 0 whatever was forgotten."""
    for name in (options.safety, options.capability):
        if spec_of(name).measure:
            raise UnknownProbe(f"{name} is no rate of this version")
    files = [read_evidence(path) for path in options.evidence]
    if options.anchor is not None:
        files = [read_evidence(options.anchor), *files]
    found = chain_of(files)
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
        found = found.model_copy(update={"order": effect})
    emit(options, found.model_dump(mode="json"), _text(found))
    return 0


def _text(found: Chain) -> str:
    order = [] if found.order is None else [_order_line(found.order)]
    return "\n".join([line for step in found.steps for line in _step_lines(step)] + order)


def _step_lines(step: Step) -> Iterator[str]:
    since = "" if step.kind == "stage" else "  (since the first)"
    yield for_terminal(f"{step.before} -> {step.after}{since}")
    yield from (f"  no numbers: {for_terminal(why)}" for why in step.obstacles)
    for one in step.probes:
        yield f"  {one.probe:<16} {_numbers(one)}"
        yield from (f"    {for_terminal(group.group):<20} {_group(group)}" for group in one.groups)
        if one.spread is not None:
            yield f"    {spread_of(one.spread)}"


def _group(one: GroupChange) -> str:
    """F, its excess over the others with Holm's p, and what chance leaves of it."""
    shift, relative, biased, shrunken = (
        number(x, signed=True) for x in (one.forgetting, one.relative, one.biased, one.shrunken)
    )
    return (
        f"{shift}  relative {relative}  biased {biased} (p {one.p_biased:.2g})  "
        f"shrunken {shrunken}  n {one.n}"
    )


def _numbers(one: ProbeChange) -> str:
    if one.trouble is not None:
        return f"no numbers: {for_terminal(one.trouble)}"
    rates = f"{number(one.before)} -> {number(one.after)}"
    interval = "" if one.ci is None else f" [{one.ci[0]:+.2f}, {one.ci[1]:+.2f}]"
    lost = f", {one.n_unscored} lost" if one.n_unscored else ""
    return f"{rates}  {number(one.forgetting, signed=True)}{interval}  n {one.n}{lost}"


def _order_line(order: OrderEffect) -> str:
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
