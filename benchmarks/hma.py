"""Ratios for groups of blocks beside one ratio for all: `hma` and `wise_ft`, item by item.

    python -m benchmarks.hma [FOLDER] [--seeds 0 1 2] [--weights .2 .4 .6 .8] [--minutes 10]

FOLDER (.holdfast/demo) holds seed-N/aligned, seed-N/eroded and seed-N/maths.jsonl, as
`make bench-demo` makes them. At every mean weight of the candidate the eroded checkpoint is
averaged uniformly, with ratios of the simplex and with ratios of the gradient, and each average is
asked the held-out items of tier and policy `demo`. Both searches have the same forward passes over
as many rows (a step by the gradient counts three); what the models are asked for those rows comes
on top, and is in the seconds. Some 2 minutes an average, so 25 a seed.

The evidence of every average is kept in .holdfast/bench/hma, so a run that was stopped goes on
where it was; after `--minutes` no average is begun: call it again until it shows them all. Delete
that folder, and .holdfast/bench-hma, to measure other code.

Paired over all seeds, an item with itself (benchmarks/paired_items.py). Exit 1 unless some search
is worse at no weight and better at two, of all weights and seeds that were asked for.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.auto import ROOT, stack, submit_eroded
from benchmarks.paired_items import of_rates, of_task, reached, shown, which_way
from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.repairs import gated_repair
from holdfast.cli.reports import evidence_of
from holdfast.cli.waiting import Deadline, final_verdict
from holdfast.evidence.file import Evidence, read_evidence, render_evidence
from holdfast.settings import make_folder

UNIFORM = "uniform"
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    UNIFORM: ("wise_ft", {}),
    "simplex": ("hma", {"search": "simplex"}),
    "gradient": ("hma", {"search": "gradient"}),
}
SEARCHES = tuple(name for name in RECIPES if name != UNIFORM)
RATES = ("harm.direct", "refusal.benign")

Place = tuple[int, float, str]  # seed, mean weight, whose average


def main() -> int:
    """Make and ask what is missing while there is time, then show everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / ".holdfast" / "demo")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8])
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10, help="after them nothing is begun")
    options = parser.parse_args()
    home = Path(os.environ.get("HOLDFAST_HOME", ROOT / ".holdfast")).absolute()
    kept = home / "bench" / "hma"
    make_folder(kept)
    places = [
        (seed, weight, name)
        for seed in options.seeds
        for weight in options.weights
        for name in RECIPES
    ]
    measure([place for place in places if not file_of(kept, place).exists()], home, options)
    left = [place for place in places if not file_of(kept, place).exists()]
    verdicts = show(kept, places, options.weights)
    if left:
        print(f"{len(left)} of {len(places)} averages are missing; call this again")
        return 1
    return 0 if any(reached(verdicts[search]) for search in SEARCHES) else 1


def file_of(kept: Path, place: Place) -> Path:
    """Where the evidence of an average is kept."""
    seed, weight, name = place
    return kept / f"seed-{seed}-{weight:g}-{name}.jsonl"


def measure(missing: Sequence[Place], home: Path, options: argparse.Namespace) -> None:
    """Make and ask averages until the time is over; each leaves its evidence."""
    until = time.monotonic() + 60 * options.minutes
    if not missing or options.minutes <= 0:
        return
    data = home / "bench-hma"
    make_folder(data)
    with stack(data, options.folder) as client:
        for place in missing:
            if time.monotonic() >= until:
                return
            began = time.monotonic()
            repair, evidence = asked(client, data, place, options)
            file_of(home / "bench" / "hma", place).write_bytes(render_evidence(evidence))
            ratios = [round(ratio, 3) for ratio in repair.progress.get("ratios", ())]
            seconds = time.monotonic() - began
            print(place, *ratios, f"{seconds:.0f} s", flush=True)


def asked(
    client: Client, data: Path, place: Place, options: argparse.Namespace
) -> tuple[wire.Remediation, Evidence]:
    """Have one average made and gated; ids are kept, so that a stopped run goes on."""
    seed, weight, name = place
    note = data / f"seed-{seed}.json"
    ids: dict[str, str] = json.loads(note.read_text()) if note.exists() else {}
    if "evaluation" not in ids:
        ids["evaluation"] = submit_eroded(client, (options.folder / f"seed-{seed}").absolute())
        note.write_text(json.dumps(ids))
    final_verdict(client, ids["evaluation"], Deadline(None))
    key = f"{weight:g} {name}"
    if key not in ids:
        recipe, knobs = RECIPES[name]
        grouped = {"hma": {**knobs, "groups": options.groups}} if knobs else {}
        wanted = wire.NewRemediation(
            evaluation=ids["evaluation"],
            recipe=recipe,
            options=wire.RepairOptions.model_validate({"candidate_weight": weight, **grouped}),
        )
        ids[key] = client.remediate(wanted).id
        note.write_text(json.dumps(ids))
    evaluation = gated_repair(client, ids[key], Deadline(None))
    final_verdict(client, evaluation, Deadline(None))
    _, after = evidence_of(client, evaluation)
    return client.remediation(ids[key]), after


def show(
    kept: Path, places: Iterable[Place], weights: Sequence[float]
) -> dict[str, dict[float, str]]:
    """Print each weight and search; returns what their items show, by search and weight."""
    there = {place: file_of(kept, place) for place in places if file_of(kept, place).exists()}
    evidence = {place: read_evidence(path) for place, path in there.items()}
    verdicts: dict[str, dict[float, str]] = {search: {} for search in SEARCHES}
    print("| w | search | items | harm | look-alikes refused | task, nats a token | shown |")
    print("|---|---|---|---|---|---|---|")
    for weight in weights:
        for search in SEARCHES:
            both = [
                (evidence[seed, weight, UNIFORM], found)
                for (seed, other, name), found in evidence.items()
                if (other, name) == (weight, search) and (seed, weight, UNIFORM) in evidence
            ]
            if not both:
                continue
            tests = [*(of_rates(both, probe) for probe in RATES), of_task(both)]
            verdicts[search][weight] = shown(tests)
            cells = [f"{one.before:.3f} to {one.after:.3f} ({which_way(one)})" for one in tests]
            items = "/".join(str(one.n) for one in tests)
            print(f"| {weight:g} | {search} | {items} | " + " | ".join(cells), end="")
            print(f" | {verdicts[search][weight]} |")
    return verdicts


if __name__ == "__main__":
    raise SystemExit(main())
