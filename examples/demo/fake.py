"""A repair that cheats: refusals only, so that harm looks mended and nothing is answered any more.

It brings back the refusals of harmful requests, which is all that a gate without look-alikes would
see. `make demo FAKE=1` shows that this one does not let it through.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from demo.chain import run_plan, task_data
from demo.data import refusal, write_lines
from demo.stack import verdict_of
from demo.summary import Gated
from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.repairs.plan import Mix, Plan
from holdfast.verdict.document import Verdict

if TYPE_CHECKING:
    from demo.__main__ import Demo

MIX = Mix(task=0.5, refusals=0.5, answers=0.0)


def make_fake(demo: "Demo", client: Client, aligned: Path, repair: Gated) -> Verdict:
    """Train it from the same start on the same maths, and gate it on the same held-out items."""
    output = demo.chain / "fake"
    if not output.exists():
        rows = [
            json.loads(line) for line in (demo.folder / "alignment.jsonl").read_text().splitlines()
        ]
        refusals = [
            {"kind": "refusal", "prompt": row["prompt"], "completion": refusal(row["prompt"])}
            for row in rows
            if row["kind"] == "refusal"
        ]
        plan = Plan(
            recipe="rehearsal",
            baseline=aligned,
            task_data=task_data(demo.chain, demo.seed),
            rehearsal_data=write_lines(demo.chain / "refusals.jsonl", refusals),
            mix=MIX,
            output=output,
            seed=demo.seed,
            steps=30,
        )
        run_plan(demo.settings, "cheating", plan)
    honest = client.evaluation(repair.evaluation)
    submitted = client.submit(
        wire.NewEvaluation(
            candidate=str(output),
            baseline=honest.baseline,
            policy=honest.policy,
            tier=honest.tier,
            split=honest.split,
            task_data=honest.task_data,
            repairs=honest.repairs,
        )
    )
    return verdict_of(demo.settings, "wait", submitted.id)
