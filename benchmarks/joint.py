"""What two objectives at once cost, and whether they end nearer to both optima than one by one.

    python -m benchmarks.joint [--only cost|quality] [--rounds 3] [--seeds 0 1 2] [--minutes 240]
                               [--chain DIR] [--settings ours authors]

DIR is a demo's folder, with the published model, and the aligned and the eroded checkpoint and the
maths of every seed (`make demo`; .holdfast/demo). One call runs every part that is missing, of both
settings and all seeds; those on record for the same machine and chain are not run again, and after
`--minutes` none is begun. A seed without its chain is named and left out, a part that fails is
named and the others go on. The last line says what is still missing, and the exit code is 1 then.

Cost: every round trains each recipe 21 steps (4 rows, or 2 pairs) in a process of its own, in
turns; the first step is left out. A step of either objective costs something else and each recipe
takes another share of them, so they are given at equal shares: the mean of both objectives'
medians, and what the steps that also look at the neglected side take beyond that. The pairs are
refusals against maths answers, since only their lengths matter here.

Quality: the distance from both optima after the same number of small steps (4 rows, or 2 pairs, of
at most 64 tokens), on fixed slices of the rows and pairs that are trained on and of others that are
not; the optima are those of runs on one objective alone, as long as the others, for every recipe.
`maxright` runs as it does by default, which knows no optima, with optima measured as long as the
run itself, and with running and given ones. The preference side is the demo's refusals against what
the eroded model itself answers to the rehearsal pool: made on the fly, kept in a temporary file,
never shown. The setting `authors` starts from the published model, with the aligned one as
reference, a constant rate and Adam's .9 and .95.

Figures go to .holdfast/bench/joint.json; docs/benchmarks.md holds what came out.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.joint_data import SLICES, made_data, tame_data
from holdfast.settings import make_folder

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".holdfast" / "bench"
RECORD = FOLDER / "joint.json"
COST_STEPS = 21  # the first is left out, and two of the others look at the neglected side
COST: dict[str, Any] = {"steps": COST_STEPS, "batch_size": 4, "warmup_steps": 2}
QUALITY: dict[str, Any] = {"steps": 32, "batch_size": 4, "max_length": 64, "warmup_steps": 2}
STEP_PAIRS = 2
LOOKS_EVERY = 10  # steps
SETTINGS = ("ours", "authors")
RECIPES = ("sequential", "alright", "maxright", "mix")
COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "sequential": ("sequential", {}),
    "alright": ("alright", {}),
    "maxright": ("maxright", {}),
    "maxright, share": ("maxright", {"optimum_steps": QUALITY["steps"] // 2}),
    "maxright, running": ("maxright", {"optima": "running"}),
    "maxright, given": ("maxright", {"task_optimum": None, "preference_optimum": None}),
}
AUTHORS: dict[str, Any] = {"start": "candidate", "warmup_steps": 0, "decay_from": 1.0}
AUTHORS_BETAS = (0.9, 0.95)
ALONE = {"task": 0.0, "preference": 1.0}  # the share that leaves one objective

Recorded = dict[str, dict[str, Any]]


def in_child(recipe: str, chain: Path, data: dict[str, Path], **knobs: Any) -> dict[str, Any]:
    """One recipe trained in a process of its own, whose memory is its own."""
    given = {"recipe": recipe, "chain": str(chain), "knobs": knobs}
    given["data"] = {key: str(path) for key, path in data.items()}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.joint_run", json.dumps(given)],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass
class Pieces:
    """Runs that are on record, and the time in which others may begin."""

    record: Recorded
    until: float

    def run(self, key: str, recipe: str, chain: Path, data: dict[str, Path], **knobs: Any) -> None:
        """Run what is not on record, if there is time left."""
        if key in self.record or time.monotonic() > self.until:
            return
        try:
            self.record[key] = in_child(recipe, chain, data, **knobs)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{key}: {type(error).__name__}; left out", flush=True)
            return
        RECORD.write_text(json.dumps(self.record, indent=1) + "\n")
        print(key, flush=True)


def cost(pieces: Pieces, chain: Path, rounds: int) -> None:
    knobs = {"task_optimum": 0.0, "preference_optimum": 0.0, "pairs": STEP_PAIRS}
    with tempfile.TemporaryDirectory() as folder:
        data = tame_data(Path(folder), chain)
        for number in range(rounds):
            for k in range(len(RECIPES)):
                recipe = RECIPES[(number + k) % len(RECIPES)]
                key = f"cost {recipe} {number}"
                pieces.run(key, recipe, chain, data, **COST, preference=knobs)


def quality(pieces: Pieces, chain: Path, seed: int, setting: str) -> None:
    record, common = pieces.record, {**QUALITY, "seed": seed}
    if setting == "authors":
        common |= {**AUTHORS, "betas": AUTHORS_BETAS}
    if all(f"{setting} {name} {seed}" in record for name in COMPARED):
        return
    with tempfile.TemporaryDirectory() as folder:
        data = made_data(Path(folder), chain)
        for objective, share in ALONE.items():
            knobs = {**common, "preference": {"share": share, "pairs": STEP_PAIRS}}
            pieces.run(f"{setting} alone {objective} {seed}", "sequential", chain, data, **knobs)
        if not all(f"{setting} alone {objective} {seed}" in record for objective in ALONE):
            return
        task, preference = alone(record, setting, seed, SLICES[0])
        for name, (recipe, knobs) in COMPARED.items():
            known = {"task_optimum": task, "preference_optimum": preference}
            preference_knobs = {
                "pairs": STEP_PAIRS,
                **{key: known.get(key, value) for key, value in knobs.items()},
            }
            pieces.run(
                f"{setting} {name} {seed}",
                recipe,
                chain,
                data,
                **common,
                preference=preference_knobs,
            )


def alone(record: Recorded, setting: str, seed: int, which: str) -> tuple[float, float]:
    """The losses on a slice that runs on one objective alone end with: task, preferences."""
    task, preference = (record[f"{setting} alone {one} {seed}"]["ended"][which] for one in ALONE)
    return float(task[0]), float(preference[1])


def at_equal_shares(found: dict[str, Any], unit: str) -> float:
    """Seconds a step: the mean of both objectives' medians, and the looks at the other side.

    `maxright` looks before every tenth step. A mixed step has one median.
    """
    steps = list(enumerate(zip(found["preference"], found[unit], strict=True), start=1))
    plain = {
        side: statistics.median(
            seconds for k, (one, seconds) in steps if one == side and k % LOOKS_EVERY
        )
        for side in set(found["preference"])
    }
    beyond = [seconds - plain[side] for k, (side, seconds) in steps if k % LOOKS_EVERY == 0]
    looked = sum(beyond) / len(steps) if found["recipe"] == "maxright" else 0.0
    return statistics.mean(plain.values()) + looked


def show_cost(record: Recorded, rounds: int) -> None:
    """Print what a step of each recipe takes beside one of `sequential`."""
    done = [k for k in range(rounds) if all(f"cost {one} {k}" in record for one in RECIPES)]
    for recipe in RECIPES if done else ():
        pairs = [(record[f"cost {recipe} {k}"], record[f"cost sequential {k}"]) for k in done]
        peaks = [a["peak_mb"] / b["peak_mb"] for a, b in pairs]
        print(f"{recipe:11}peak memory {statistics.median(peaks):.3f} of sequential", end="")
        for unit in ("clock", "cpu"):
            times = [at_equal_shares(a, unit) / at_equal_shares(b, unit) for a, b in pairs]
            seconds = statistics.median(at_equal_shares(a, unit) for a, _ in pairs)
            print(
                f"; {unit} {seconds:.2f} s a step, {statistics.median(times):.3f} of sequential "
                f"({min(times):.3f} to {max(times):.3f})",
                end="",
            )
        print()


def show_quality(record: Recorded, seeds: list[int], setting: str) -> None:
    """Print how far each recipe ended from both optima, on rows trained on and held out."""
    from holdfast.errors import TrainingFailed
    from training.objectives.tradeoff import hypervolume, ideal_distance, normalised_distance

    for seed in seeds:
        for name in COMPARED:
            if f"{setting} {name} {seed}" not in record:
                continue
            found = record[f"{setting} {name} {seed}"]
            for which in SLICES:
                optima = alone(record, setting, seed, which)
                began, ended = tuple(found["began"][which]), tuple(found["ended"][which])
                try:
                    normalised = f"{normalised_distance(ended, optima, began):.3f}"
                except TrainingFailed:  # the start is no worse than an optimum
                    normalised = "-"
                print(
                    f"seed {seed} {which:10} {name:17} task {ended[0]:.3f} ({optima[0]:.3f}), "
                    f"preference {ended[1]:.3f} ({optima[1]:.3f}): distance "
                    f"{ideal_distance(ended, optima):.3f}, normalised {normalised}, hypervolume "
                    f"{hypervolume([ended], began):.3f}, {found['seconds']:.0f} s"
                )


def missing(
    record: Recorded, chosen: argparse.Namespace, there: list[int], parts: list[str]
) -> list[str]:
    """The parts that were asked for and are not on record, seeds without a chain by their name."""
    wanted = [f"cost {one} {k}" for k in range(chosen.rounds) for one in RECIPES]
    alike = [f"alone {one}" for one in ALONE] + list(COMPARED)
    held = [
        f"{setting} {name} {seed}"
        for setting in chosen.settings
        for seed in there
        for name in alike
    ]
    keys = (wanted if "cost" in parts else []) + (held if "quality" in parts else [])
    gone = [f"the chain of seed {seed}" for seed in chosen.seeds if seed not in there]
    return [*gone, *(key for key in keys if key not in record)]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=("cost", "quality"))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--minutes", type=float, default=240)
    arguments.add_argument("--chain", type=Path, default=REPOSITORY / ".holdfast" / "demo")
    arguments.add_argument("--settings", choices=SETTINGS, nargs="+", default=SETTINGS)
    chosen = arguments.parse_args()
    demo = chosen.chain.absolute()
    make_folder(FOLDER)
    of = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "chain": str(demo)}
    record: Recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if record.get("of") != of:
        record = {"of": of}
    pieces = Pieces(record, time.monotonic() + 60 * chosen.minutes)
    parts = [chosen.only] if chosen.only else ["cost", "quality"]
    there = [seed for seed in chosen.seeds if (demo / f"seed-{seed}" / "eroded").is_dir()]
    if there and "cost" in parts:
        cost(pieces, demo / f"seed-{there[0]}", chosen.rounds)
    for setting in chosen.settings if "quality" in parts else ():
        for seed in there:
            quality(pieces, demo / f"seed-{seed}", seed, setting)
    for setting in chosen.settings:
        print(f"setting {setting}:")
        show_quality(record, there, setting)
    show_cost(record, chosen.rounds)
    left = missing(record, chosen, there, parts)
    print(f"missing: {'; '.join(left)}" if left else "nothing is missing")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
