"""`auto` on the demo's chain: whether it finds a repair, how fast, and what the repair keeps.

For each seed the eroded checkpoint is judged beside the aligned one (that is not timed), then the
ladder climbs: some 17 minutes a seed. Ids are kept in the data folders, so a run that was stopped
goes on where it was, and after `--minutes` no seed is begun: call it again until it shows them all.

The first seed of an order climbs in an empty database, those after it have the past of the ones
before: each order has a data folder of its own, so that no answer is known beforehand. By default
each seed is climbed both ways.

    python -m benchmarks.auto [FOLDER] [--seeds 0 1 2] [--budget 15] [--only A,B] [--complete-front]

FOLDER (.holdfast/demo) holds seed-N/aligned, seed-N/eroded and seed-N/maths.jsonl, as
`make bench-demo` makes them.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.front_table import front_markdown
from holdfast.cli.repairs import follow_ladder
from holdfast.cli.waiting import Deadline, final_verdict
from holdfast.job import Tier
from holdfast.policy.model import Budget
from holdfast.policy.text import SHIPPED
from holdfast.settings import make_folder, read_settings
from holdfast.stack import embedded

ROOT = Path(__file__).resolve().parent.parent
KEPT = 0.80  # of the task's gain, at least
TIER: Tier = "demo"
ORDERS = ((0, 1, 2), (2, 0), (1,))  # each seed first once, and once behind others
Climbed = tuple[wire.Remediation, float, tuple[wire.Candidate, ...]]  # minutes in the middle


def main() -> int:
    """Climb for every seed; exit 1 where one of them found no repair, or was not begun."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / ".holdfast" / "demo")
    parser.add_argument("--seeds", type=int, nargs="+", help="one order alone")
    parser.add_argument("--budget", type=int, default=15, help="minutes")
    parser.add_argument("--only", default="", help="of the ladder's recipes, those to climb")
    parser.add_argument("--complete-front", action="store_true")
    parser.add_argument("--minutes", type=float, default=10, help="after them no seed is begun")
    options = parser.parse_args()
    last = time.monotonic() + 60 * options.minutes
    good = True
    for order in (tuple(options.seeds),) if options.seeds else ORDERS:
        found = climb_in_order(order, options, last)
        for number, seed in enumerate(order):
            after = f"after {', '.join(map(str, order[:number]))}" if number else "empty database"
            if seed not in found:
                print(f"seed {seed}, {after}: not begun; call this again")
                good = False
                continue
            ladder, minutes, candidates = found[seed]
            ended = f"{ladder.status.value} in {minutes:.1f} minutes; {ladder.error or ''}"
            print(f"\nseed {seed}, {after}: {ended}\n{front_markdown(candidates)}")
            good = good and repaired(candidates)
    return 0 if good else 1


def climb_in_order(
    order: tuple[int, ...], options: argparse.Namespace, last: float
) -> dict[int, Climbed]:
    """One seed after the other in one database; those that were begun by then."""
    name = f"bench-auto-{'-'.join(map(str, order))}"
    home = Path(os.environ.get("HOLDFAST_HOME", ROOT / ".holdfast")).absolute() / name
    if time.monotonic() >= last and not home.exists():
        return {}
    make_folder(home)
    with stack(home, options.folder) as client:
        begun = takewhile(
            lambda seed: time.monotonic() < last or (home / f"seed-{seed}.json").exists(), order
        )
        return {seed: climb(client, home, seed, options) for seed in begun}


def climb(client: Client, home: Path, seed: int, options: argparse.Namespace) -> Climbed:
    """One seed's ladder, from its failing verdict to its end."""
    kept = home / f"seed-{seed}.json"
    ids: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    chain = (options.folder / f"seed-{seed}").absolute()
    if "evaluation" not in ids:
        ids["evaluation"] = submit_eroded(client, chain)
        kept.write_text(json.dumps(ids))
    final_verdict(client, ids["evaluation"], Deadline(None))
    ladder = f"ladder {options.only}".rstrip()
    if ladder not in ids:
        wanted = wire.NewRemediation(
            evaluation=ids["evaluation"],
            recipe="auto",
            budget=Budget(minutes=options.budget, candidates=12),
            complete_front=options.complete_front,
            only=tuple(options.only.split(",")) if options.only else (),
        )
        ids[ladder] = client.remediate(wanted).id
        kept.write_text(json.dumps(ids))
    follow_ladder(client, ids[ladder], Deadline(None))
    ended = client.remediation(ids[ladder])
    begun, over = ended.started_at, ended.finished_at
    minutes = (over - begun).total_seconds() / 60 if begun and over else 0.0
    return ended, minutes, client.candidates(ids[ladder])


def submit_eroded(client: Client, chain: Path) -> str:
    """A seed's eroded checkpoint beside its aligned one, which nothing repairs by itself."""
    policy = (SHIPPED / "demo.yaml").read_text(encoding="utf-8")
    asked = wire.NewEvaluation(
        candidate=str(chain / "eroded"),
        baseline=str(chain / "aligned"),
        policy=policy.replace("on_fail: auto", "on_fail: never"),
        tier=TIER,
        task_data=str(chain / "maths.jsonl"),
    )
    return client.submit(asked).id


def repaired(candidates: tuple[wire.Candidate, ...]) -> bool:
    """Whether one was chosen that keeps enough of the task's gain."""
    chosen = [one.scores.task for one in candidates if one.chosen]
    return any(task is not None and 1 - task >= KEPT for task in chosen)


@contextmanager
def stack(home: Path, folder: Path) -> Iterator[Client]:
    """An embedded stack that may read the chains."""
    settings = read_settings({**os.environ, "HOLDFAST_HOME": str(home)})
    settings = settings.model_copy(update={"checkpoint_roots": (folder.absolute(),), "port": 0})
    with (
        embedded.running(settings, threading.Event()) as running,
        Client(running.url, running.key_file.read_text().strip()) as client,
    ):
        yield client


if __name__ == "__main__":
    raise SystemExit(main())
