"""One check's change, drawn: the interval, the change, its bound, and the noise floor behind them.

A line of SVG on the scale of what it shows, with zero always on it; in words for whoever does not
see it. The noise floor is the share of answers that move when nothing changed, and reaches to both
sides of zero.
"""

from holdfast.readings.noise import Floor
from holdfast.report.escapes import for_html
from holdfast.report.numbers import interval_of, number
from holdfast.verdict.outcome import CheckResult

WIDTH, MIDDLE = 176, 12  # of the drawing, in its own units
ROOM = 0.08  # of the scale, left free on both ends


def draw_interval(check: CheckResult, floor: Floor | None) -> str:
    """An SVG element, or a dash where there is no interval in the unit of the change."""
    if check.ci is None or check.delta is None or not _of_change(check):
        return "-"
    moved = 0.0 if floor is None else floor.flips / floor.n if floor.n else 0.0
    bound = check.margin or 0.0
    shown = (*check.ci, check.delta, bound, moved, -moved, 0.0)
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0

    def at(value: float) -> str:
        share = ROOM + (1 - 2 * ROOM) * (value - low) / span
        return f"{share * WIDTH:.1f}"

    description = (
        f"change {number(check.delta, signed=True)}, interval {interval_of(check)}, bound {bound}"
    )
    noise = "" if floor is None else f", noise {moved:.3f}"
    return (
        f'<svg viewBox="0 0 {WIDTH} 24" role="img" aria-label="{for_html(description + noise)}">'
        f"{_band(at(-moved), at(moved)) if moved else ''}"
        f'<line x1="{at(0.0)}" x2="{at(0.0)}" y1="3" y2="21" stroke="currentColor" '
        'stroke-opacity=".35" stroke-dasharray="2 2"/>'
        f'<line x1="{at(bound)}" x2="{at(bound)}" y1="1" y2="23" stroke="currentColor" '
        'stroke-width="2"/>'
        f'<line x1="{at(check.ci[0])}" x2="{at(check.ci[1])}" y1="{MIDDLE}" y2="{MIDDLE}" '
        'stroke="currentColor" stroke-width="3" stroke-opacity=".6"/>'
        f'<circle cx="{at(check.delta)}" cy="{MIDDLE}" r="4" fill="currentColor"/></svg>'
    )


def _of_change(check: CheckResult) -> bool:
    """Whether the first rule, whose interval the check shows, bounds the change."""
    return bool(check.rules) and check.rules[0].rule == "max_regression"


def _band(start: str, end: str) -> str:
    width = float(end) - float(start)
    return (
        f'<rect x="{start}" y="5" width="{width:.1f}" height="14" fill="currentColor" '
        'fill-opacity=".15"/>'
    )
