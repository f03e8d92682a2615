"""Numbers of a verdict as people read them, the same in every format."""

from holdfast.verdict.outcome import CheckResult, GroupSpread

NONE = "-"


def number(value: float | None, *, signed: bool = False) -> str:
    """Two digits, or three where two would hide it; a dash for what is not known."""
    if value is None:
        return NONE
    digits = 3 if 0 < abs(value) < 0.01 else 2
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def change_of(check: CheckResult) -> str:
    """The change of the metric, or the share of a gain that was kept."""
    retained = next((rule.estimate for rule in check.rules if rule.rule == "min_gain_kept"), None)
    if retained is not None:
        return f"kept {retained:.0%}"
    return number(check.delta, signed=True)


def interval_of(check: CheckResult) -> str:
    """The margins that neither test refutes."""
    if check.ci is None:
        return NONE
    return f"{number(check.ci[0], signed=True)} to {number(check.ci[1], signed=True)}"


def margin_of(check: CheckResult) -> str:
    """The bound of the check's first rule, with the side on which it lies, and a cap beside it."""
    if check.margin is None:
        return NONE
    least = any(rule.rule == "min_gain_kept" for rule in check.rules)
    caps = [rule.margin for rule in check.rules[1:] if rule.rule == "max" and rule.group is None]
    cap = "".join(f", cap {number(limit)}" for limit in caps)
    return f"{'>=' if least else '<'} {number(check.margin)}{cap}"


def spread_of(spread: GroupSpread) -> str:
    """How unequally the groups forgot, in one sentence."""
    return (
        f"forgetting overall {number(spread.overall, signed=True)}, mean of groups "
        f"{number(spread.macro, signed=True)}, range {number(spread.range)} "
        f"(p = {spread.p_range:.2g}; chance alone stays below {number(spread.range_95)} in 95 %), "
        f"worst group {number(spread.gap, signed=True)} above overall, sd {number(spread.sd)}"
    )


def bias_of(check: CheckResult) -> str | None:
    """BBQ's bias scores over all items, in one sentence; None where there are none."""
    rows = [
        f"{row.context} {number(row.baseline, signed=True)} -> "
        f"{number(row.candidate, signed=True)} (accuracy {number(row.baseline_accuracy)} -> "
        f"{number(row.candidate_accuracy)})"
        for row in check.bias
        if row.group is None
    ]
    return f"bias scores: {', '.join(rows)}" if rows else None
