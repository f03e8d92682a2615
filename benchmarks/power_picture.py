"""docs/power.svg: power curves from benchmarks/error_rates.py, for light pages and dark ones."""

from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 760, 346
LEFT, TOP, SIDE, TALL = 52, 44, 270, 220  # of the first panel; the second stands beside it
APART = 368
LINES = {  # decider: (name, class, dashes)
    "holdfast": ("Holdfast, fixed", "ours", ""),
    "sequential": ("Holdfast, sequential", "ours", "5 3"),
    "tango": ("asymptotic score", "a", ""),
    "wald": ("Wald", "b", ""),
    "bootstrap": ("bootstrap", "c", "2 2"),
    "unpaired": ("unpaired", "d", ""),
    "threshold": ("threshold", "e", "7 3"),
}
STYLE = """
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}
path,line{fill:none}.axis{stroke:#8c959f}.grid{stroke:#8c959f;opacity:.25}
.ours{stroke:#0550ae;stroke-width:3}.a{stroke:#bc4c00}.b{stroke:#8250df}.c{stroke:#1a7f37}
.d{stroke:#bf3989}.e{stroke:#6e7781}.a,.b,.c,.d,.e{stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.ours{stroke:#79c0ff}.a{stroke:#ffa657}
.b{stroke:#d2a8ff}.c{stroke:#7ee787}.d{stroke:#ff9bce}.e{stroke:#b1bac4}}
"""
Record = Mapping[str, Mapping[str, float | None]]


def draw(record: Record, quiet: Sequence[float], worse: Sequence[float]) -> str:
    """Two panels for 280 items at a margin of .05: chance of a pass, and of a fail."""
    at = "n 280, margin 0.05"
    passes = [(x, record[f"power: pass, {at}, unchanged, flips {x:g}"]) for x in quiet]
    fails = [(x, record[f"power: fail, {at}, {x:g} worse"]) for x in worse]
    body = [
        *_panel(LEFT, "Passes an unchanged checkpoint", "share of items that flip", passes),
        *_panel(LEFT + APART, "Fails a worse one", "true change (margin .05)", fails),
        *_legend(),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "<title>Power of Holdfast and other deciders: 280 items, margin .05</title>",
            f"<style>{STYLE}</style>",
            *body,
            "</svg>\n",
        ]
    )


def _panel(
    left: int, title: str, below: str, points: Sequence[tuple[float, Mapping[str, float | None]]]
) -> list[str]:
    end = points[-1][0]
    across = [round(end * part, 3) for part in (0, 0.25, 0.5, 0.75, 1)]
    found = [f'<text class="title" x="{left}" y="{TOP - 14}">{title}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = TOP + TALL * (1 - share)
        kind = "grid" if share else "axis"
        found.append(f'<line class="{kind}" x1="{left}" x2="{left + SIDE}" y1="{y:g}" y2="{y:g}"/>')
        found.append(f'<text x="{left - 8}" y="{y + 4:g}" text-anchor="end">{share:g}</text>')
    for x in across:
        place = left + SIDE * x / end
        found.append(f'<text x="{place:g}" y="{TOP + TALL + 16}" text-anchor="middle">{x:g}</text>')
    middle = left + SIDE / 2
    found.append(f'<text x="{middle:g}" y="{TOP + TALL + 32}" text-anchor="middle">{below}</text>')
    for decider, (_, colour, dashes) in LINES.items():
        steps = [
            f"{left + SIDE * x / end:.1f} {TOP + TALL * (1 - (chances[decider] or 0.0)):.1f}"
            for x, chances in points
        ]
        found.append(f'<path class="{colour}" d="M{" L".join(steps)}" {_dashes(dashes)}/>')
    return found


def _legend() -> list[str]:
    found = []
    for number, (name, colour, dashes) in enumerate(LINES.values()):
        x, y = LEFT + number % 4 * 176, HEIGHT - 24 + number // 4 * 17
        found.append(
            f'<line class="{colour}" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" '
            f"{_dashes(dashes)}/>"
        )
        found.append(f'<text x="{x + 28}" y="{y}">{name}</text>')
    return found


def _dashes(dashes: str) -> str:
    return f'stroke-dasharray="{dashes}"' if dashes else ""
