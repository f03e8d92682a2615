"""How often the verdict is wrong, and how often it is given: ours beside what peers decide by.

    python benchmarks/error_rates.py [--only FAMILY]

Every cell is one case, with the chance of each decider (benchmarks/deciders.py) to say what is
false, or in the power cells what is true. Tables of single items are enumerated: those figures are
sums and carry no error. Clusters and paths are simulated, 20,000 runs with a fixed seed: a share of
.05 is then good to .0015 (standard error), .003 at 95 %. Finished cells are kept in
.holdfast/bench/error_rates.json and not computed again. Each family is printed as the table that
docs/statistics.md holds, and docs/power.svg is drawn.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.false_answers import (
    CHECKS,
    Cell,
    all_at,
    cluster_size,
    mixed,
    one_at_margin,
    peeked_cluster_size,
    peeked_size,
    power,
    sequential_fail,
    size,
    size_with_losses,
)
from benchmarks.power_picture import draw
from benchmarks.simulated import ClusteredCase
from holdfast.settings import make_folder
from holdfast.stats.sides import Side

REPOSITORY = Path(__file__).resolve().parent.parent
RECORD = REPOSITORY / ".holdfast" / "bench" / "error_rates.json"
PICTURE = REPOSITORY / "docs" / "power.svg"

Named = Iterator[tuple[str, Callable[[], Cell]]]
SIDES: tuple[Side, Side] = ("pass", "fail")

SINGLES = tuple((n, margin) for n in (40, 110, 160, 280) for margin in (0.05, 0.10))
LOST = ((160, 0.05, 3), (160, 0.10, 3), (280, 0.05, 5))  # n, margin, pairs lost: max_unscored .02
WHO: tuple[tuple[Side, str], ...] = (
    ("pass", "any"),
    ("pass", "worse"),
    ("fail", "any"),
    ("fail", "better"),
)
CLUSTERS = (  # all at a margin of .05
    ClusteredCase(40, alike=0.0, psi=0.05),
    ClusteredCase(40, alike=1.0, psi=0.05),
    ClusteredCase(100, alike=0.0, psi=0.10),
    ClusteredCase(100, alike=0.5, psi=0.05),
    ClusteredCase(100, alike=0.5, psi=0.20),
    ClusteredCase(100, alike=1.0, psi=0.10),
    ClusteredCase(100, alike=0.5, psi=0.12, graded=True),
    ClusteredCase(200, alike=0.5, psi=0.10),
)
PEEKED_CLUSTERS = (CLUSTERS[3], CLUSTERS[4], CLUSTERS[7])
PATHS = (  # suite, margin, share that flips
    (280, 0.05, 0.05),
    (280, 0.05, 0.10),
    (280, 0.10, 0.10),
    (480, 0.05, 0.05),
    (480, 0.05, 0.20),
    (480, 0.10, 0.20),
)
POWER_AT = ((160, 0.10), (280, 0.05))
QUIET = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2)  # shares that flip, for better as for worse
WORSE = (0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3)  # true changes; .04 flip besides


def main() -> None:
    """All cells that are not on record; then the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=sorted(FAMILIES), default=None)
    only = parser.parse_args().only
    make_folder(RECORD.parent)
    done: dict[str, Cell] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for family in [only] if only else FAMILIES:
        for name, compute in FAMILIES[family]():
            key = f"{family}: {name}"
            if key not in done:
                done[key] = compute()
                RECORD.write_text(json.dumps(done, indent=1))
        print(*as_table(family, done), sep="\n")
    if only in {None, "power"}:
        PICTURE.write_text(draw(done, QUIET, WORSE))


def as_table(family: str, done: dict[str, Cell]) -> Iterator[str]:
    """Markdown; a false pass and a false fail of the same case share a row, as pass / fail."""
    cells = {
        key.removeprefix(f"{family}: "): cell
        for key, cell in done.items()
        if key.startswith(f"{family}: ")
    }
    columns = list(next(iter(cells.values())))
    yield f"\n| {family} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cell in cells.items():
        answer, _, case = name.partition(", ")
        twin = cells.get(f"false fail, {case}") if answer == "false pass" else None
        if twin is not None:
            both = [f"{share(cell, name)} / {share(twin, name)}" for name in columns]
            yield f"| {case} | {' | '.join(both)} |"
        elif answer != "false fail" or f"false pass, {case}" not in cells:
            yield f"| {name} | {' | '.join(share(cell, one) for one in columns)} |"


def share(cell: Cell, decider: str) -> str:
    chance = cell.get(decider)
    return "-" if chance is None else f"{chance:.3f}".removeprefix("0")


def single_cells() -> Named:
    for n, margin in SINGLES:
        for side in SIDES:
            yield f"false {side}, n {n}, margin {margin:g}", partial(size, n, margin, side)


def lost_cells() -> Named:
    for n, margin, lost in LOST:
        for side, which in WHO:
            name = f"false {side}, {lost} of {n} lost ({which}), margin {margin:g}"
            yield name, partial(size_with_losses, n, margin, lost, side, which)


def cluster_cells() -> Named:
    for case in CLUSTERS:
        for side in SIDES:
            yield f"false {side}, {case.name}", partial(cluster_size, case, 0.05, side)


def cluster_path_cells() -> Named:
    for case in PEEKED_CLUSTERS:
        for side in SIDES:
            yield f"false {side}, {case.name}", partial(peeked_cluster_size, case, 0.05, side)


def policy_cells() -> Named:
    """Twelve checks of 160 items at .05; sequential ones of 280."""
    for change in (0.0, -0.05):
        what = "never flip" if change == 0 else "are 5 points better"
        name = f"false pass, one at its margin, eleven {what}"
        yield name, partial(one_at_margin, 160, 0.05, change)
    name = "false fail, all at their margins"
    yield f"{name}, independent", partial(all_at, 160, 0.05, CHECKS)
    yield f"{name}, on the same items", partial(all_at, 160, 0.05, 1)
    yield "false fail of four at their margins beside four gross ones", partial(mixed, 160, 0.05)


def joint_path_cells() -> Named:
    yield "false pass, one at its margin", partial(peeked_size, 280, 0.05, 0.10, "pass")
    yield "false fail, all at their margins", partial(sequential_fail, 280, 0.05)


def sequential_cells() -> Named:
    for suite, margin, psi in PATHS:
        for side in SIDES:
            name = f"false {side}, suite {suite}, margin {margin:g}, flips {psi:g}"
            yield name, partial(peeked_size, suite, margin, psi, side)


def power_cells() -> Named:
    for n, margin in POWER_AT:
        for psi in QUIET:
            name = f"pass, n {n}, margin {margin:g}, unchanged, flips {psi:g}"
            yield name, partial(power, n, margin, 0.0, psi, "pass")
        for change in WORSE:
            name = f"fail, n {n}, margin {margin:g}, {change:g} worse"
            yield name, partial(power, n, margin, change, change + 0.04, "fail")


FAMILIES: dict[str, Callable[[], Named]] = {
    "single": single_cells,
    "lost": lost_cells,
    "clusters": cluster_cells,
    "policy": policy_cells,
    "sequential": sequential_cells,
    "sequential clusters": cluster_path_cells,
    "sequential policy": joint_path_cells,
    "power": power_cells,
}


if __name__ == "__main__":
    main()
