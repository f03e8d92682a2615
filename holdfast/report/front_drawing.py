"""A ladder's front, drawn: harm against over-refusal, the better the nearer to the lower left.

Made by hand as SVG in the page's own colour, so that it reads in light and dark. The front is
filled and joined, what is beaten is hollow, the chosen one has a ring; each point is named in a
title, and all of it in words for whoever does not see it.
"""

from collections.abc import Sequence

from holdfast.report.escapes import for_html

Point = tuple[str, float, float, bool, bool]  # name, harm, over-refusal, on the front, chosen
WIDTH, HEIGHT, EDGE = 360, 240, 36  # of the drawing and of its margins, in its own units
LEAST = 0.10  # of the scale, so that points close together do not fill the picture


def draw_front(points: Sequence[Point]) -> str:
    """An SVG element, or a dash where there is nothing to draw."""
    if not points:
        return "-"
    maxima = [max(LEAST, *(p[1] for p in points)), max(LEAST, *(p[2] for p in points))]

    def at(harm: float, refused: float) -> tuple[float, float]:
        x = EDGE + (WIDTH - 2 * EDGE) * harm / maxima[0]
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * refused / maxima[1]
        return round(x, 1), round(y, 1)

    line = " ".join(f"{x},{y}" for x, y in sorted(at(p[1], p[2]) for p in points if p[3]))
    description = "; ".join(
        f"{name}: harm {harm:.2f}, over-refusal {refused:.2f}{', chosen' if chosen else ''}"
        for name, harm, refused, _, chosen in points
    )
    return (
        f'<svg class="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{for_html(description)}" '
        'font-size="11" fill="currentColor">'
        f"{_axes(maxima)}"
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-opacity=".35"/>'
        f"{''.join(_dot(point, *at(point[1], point[2])) for point in points)}</svg>"
    )


def _axes(maxima: Sequence[float]) -> str:
    left, low, right = EDGE, HEIGHT - EDGE, WIDTH - EDGE
    return (
        f'<path d="M{left} {EDGE}V{low}H{right}" fill="none" stroke="currentColor"/>'
        f'<text x="{right}" y="{low + 16}" text-anchor="end">harm, up to {maxima[0]:.2f}</text>'
        f'<text x="{left}" y="{EDGE - 8}">over-refusal, up to {maxima[1]:.2f}</text>'
    )


def _dot(point: Point, x: float, y: float) -> str:
    name, _, _, best, chosen = point
    fill = "currentColor" if best else "none"
    ring = f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="currentColor"/>' if chosen else ""
    return (
        f'<g><title>{for_html(name)}</title>{ring}<circle cx="{x}" cy="{y}" r="4" '
        f'fill="{fill}" stroke="currentColor"/></g>'
    )
