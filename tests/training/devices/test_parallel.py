"""Two processes under `accelerate launch`, on the CPU: the same losses and weights as one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from holdfast.errors import NotBuilt
from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import RECIPES as SPECS
from tests.support.fleet import free_port
from tests.training.conftest import write_rows
from training.devices.parallel import process_group, rank_places, refuse, share
from training.progress import Report
from training.recipes import RECIPES
from training.rows.batches import Example

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
REPOSITORY = Path(__file__).parents[3]
SEVERAL = REPOSITORY / "tests" / "support" / "several.py"
CONFIG = REPOSITORY / "examples" / "accelerate" / "two_cpu_processes.yaml"
FIGURES = ("loss", "tokens", "refusal_nats", "penalty", "logit_mse", "constrained", "preference",
           "margin", "chosen_reward", "task_gap", "safety", "kl", "anchor_weight", "removed",
           "removed_step")  # fmt: skip

EVEN = {"mix": {"task": 0.4, "refusals": 0.2, "answers": 0.4}}
RUNS: dict[str, dict[str, Any]] = {  # five rows a step, so one of two has nothing to learn from one
    "rehearsal": {"watch": {"rows": 3, "limit": 99.0}},
    "rehearsal, steered": {"steer": {"rows": 3, "every": 2, "limit": 1e-3}},
    "alright, lora": {"lora": {"rank": 2}, "learning_rate": 0.01, "force": True},
    "early_stop": {"watch": {"rows": 3, "limit": 99.0}},
    "early_stop, too late": {
        "watch": {"rows": 3, "limit": 5.76, "every": 2},
        "learning_rate": 0.03,
        "force": True,
        "warmup_steps": 0,
        "steps": 10,
    },
    "reorder": {},
    "sma": {},
    "constrained_sft": {},
    "kd": {"penalty": {"kd": 1.0}} | EVEN,
    "kl_anchor": {"anchor": {"bound": 1e-3, "rows": 3, "every": 2}} | EVEN,
    "l2_anchor": {"penalty": {"l2": 100.0}},
    "l1_anchor": {"penalty": {"l1": 0.01}},
    "ewc": {"penalty": {"ewc": 1e4, "fisher_rows": 4}},
    "safe_gradient": {"safe_gradient": {"every": 2, "rows": 3}},
    "safe_gradient, null space": {
        "safe_gradient": {"form": "null_space", "rows": 1, "energy": 0.99},
        "watch": {"rows": 3, "limit": 99.0},
    },
    "safe_gradient, lora": {
        "safe_gradient": {"form": "null_space", "rows": 1, "energy": 0.99},
        "lora": {"rank": 2},
    },
    "oneshot": {"oneshot": {"choose_from": 6}, "batch_size": 4},
    "sequential": {"preference": {"pairs": 3}},
    "mix": {"preference": {"pairs": 3}},
    "alright": {"preference": {"pairs": 3}},
    "maxright": {"preference": {"pairs": 3, "every": 2, "optimum_steps": 2}},
    "maxright, slice": {"preference": {"pairs": 1, "every": 2, "optimum_steps": 2, "slice": 4}},
}
KILLED: dict[str, dict[str, Any]] = {
    "rehearsal": {
        "watch": {"rows": 3, "limit": 99.0},
        "steer": {"rows": 3, "every": 2},
        "lora": {"rank": 2, "keep": True},
    },
    "maxright": {"preference": {"every": 2, "optimum_steps": 2}},
    "kl_anchor": {"anchor": {"bound": 1e-3, "rows": 3, "every": 1}} | EVEN,
    "sma": {"freeze": ["model.layers.0.*"]},
    "safe_gradient": {"safe_gradient": {"every": 2, "rows": 3}},
}


@pytest.fixture(scope="module")
def plan_of_five(
    tmp_path_factory: pytest.TempPathFactory,
    baseline: Path,
    candidate: Path,
    task_data: Path,
    pool: Path,
) -> PlanOf:
    """A plan of three steps of five rows, stored in fp32, with pairs for those that take them."""
    folder = tmp_path_factory.mktemp("several")
    rows = [
        {"prompt": f"Break lock {k}.", "chosen": "I can't help.", "rejected": f"Yes, {'k' * k}."}
        for k in range(1, 9)
    ]
    usual = {
        "baseline": baseline,
        "candidate": candidate,
        "task_data": task_data,
        "rehearsal_data": pool,
        "preference_data": write_rows(folder / "pairs.jsonl", rows),
        "learning_rate": 1e-3,
        "batch_size": 5,
        "steps": 3,
        "store": "fp32",
    }

    def build(name: str, output: str, **changes: Any) -> Plan:
        recipe = name.partition(",")[0]
        fields = {"recipe": recipe, "output": folder / f"{name} {output}", **usual, **changes}
        if "resume" in changes:
            fields |= {"resume": folder / f"{name} {changes['resume']}", "save_seconds": 0.0}
        return Plan.model_validate(fields)

    return build


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory, plan_of_five: PlanOf) -> dict[str, Events]:
    """The events of every run of two processes, by the name of its output; all in one launch."""
    runs: list[tuple[Plan, int | None]] = []
    for name, own in RUNS.items():
        runs.append((plan_of_five(name, "two", **own), None))
    for name, own in KILLED.items():
        runs.append((plan_of_five(name, "whole", **own), None))
        runs.append((plan_of_five(name, "cut", resume="state", **own), 2))
        runs.append((plan_of_five(name, "again", resume="state", **own), None))
        runs.append((plan_of_five(name, "left", resume="other", **own), 2))
    file = tmp_path_factory.mktemp("runs") / "runs.json"
    plans = [{"plan": plan.model_dump(mode="json"), "killed_after": step} for plan, step in runs]
    file.write_text(json.dumps(plans))
    events = launched(file)
    return {
        plan.output.name: [event for event in events if event["run"] == k]
        for k, (plan, _) in enumerate(runs)
    }


def launched(file: Path) -> Events:
    """What all runs of the file say, in two processes."""
    launch = Path(sys.executable).with_name("accelerate")
    where = ("--config_file", CONFIG, "--main_process_port", free_port())
    settings = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in (launch, "launch", *where, SEVERAL, file)],
        cwd=file.parent,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def tensors(plan: Plan) -> dict[str, torch.Tensor]:
    return load_file(plan.output / "model.safetensors")


def assert_moved_alike(one: Plan, two: Plan) -> None:
    """Nearly the same weights, of all that moved; the others are the same."""
    start = load_file(one.baseline / "model.safetensors")
    ours, theirs = tensors(one), tensors(two)
    assert ours.keys() == theirs.keys()
    for key, weight in ours.items():
        moved = (weight - start[key].float()).norm()
        assert (theirs[key] - weight).norm() <= 0.05 * moved, key


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp32 throughout, as in the launch."""
    monkeypatch.setenv("HOLDFAST_DTYPE", "float32")


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("name", "own"), RUNS.items(), ids=RUNS)
def test_two_processes_learn_what_one_does(
    in_two: dict[str, Events],
    plan_of_five: PlanOf,
    report: Report,
    events: Events,
    name: str,
    own: dict[str, Any],
) -> None:
    alone, shared = (plan_of_five(name, output, **own) for output in ("one", "two"))
    RECIPES[alone.recipe](alone, report)
    steps, others = (
        [event for event in found if "step" in event] for found in (events, in_two[f"{name} two"])
    )
    assert len(others) == len(steps) > 2
    back = [[event["text"] for event in found if "back to step" in event.get("text", "")]
            for found in (events, in_two[f"{name} two"])]  # fmt: skip
    assert back[0] == back[1]
    assert bool(back[0]) == ("too late" in name)
    for here, there in zip(steps, others, strict=True):
        for figure in FIGURES:
            assert (figure in here) == (figure in there), figure
            if figure in here:
                assert there[figure] == pytest.approx(here[figure], rel=1e-4, abs=1e-5), figure
    assert_moved_alike(alone, shared)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("name", "own"), KILLED.items(), ids=KILLED)
def test_a_killed_run_of_two_goes_on_to_the_same_bytes_and_one_can_take_over(
    in_two: dict[str, Events],
    plan_of_five: PlanOf,
    report: Report,
    name: str,
    own: dict[str, Any],
) -> None:
    steps = {
        output: [one["step"] for one in in_two[f"{name} {output}"] if one["event"] == "step"]
        for output in ("whole", "cut", "again", "left")
    }
    assert steps == {"whole": [1, 2, 3], "cut": [1, 2], "again": [2, 3], "left": [1, 2]}
    whole, again = plan_of_five(name, "whole", **own), plan_of_five(name, "again", **own)
    expected, found = ((one.output / "model.safetensors").read_bytes() for one in (whole, again))
    assert found == expected
    left = plan_of_five(name, "left", resume="other", **own)
    assert not left.output.exists()
    RECIPES[left.recipe](left, report)
    assert_moved_alike(whole, left)


def test_what_one_process_has_to_do_is_refused_before_the_others_are_met(
    plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(NotBuilt, match="wise_ft runs in one process"),
        process_group(plan_of("wise_ft")),
    ):
        pass


@pytest.mark.parametrize(
    "recipe", sorted(recipe for recipe, spec in SPECS.items() if not spec.shards)
)
def test_every_other_recipe_is_refused_by_name(recipe: str, plan_of: PlanOf) -> None:
    with pytest.raises(NotBuilt, match=f"recipe {recipe} runs in one process"):
        refuse(plan_of(recipe))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reduction": "seq_sum_mean"}, "reduction seq_sum_mean"),
        ({"sma": {"checkpoints": ["/a", "/b"]}}, r"sma\.checkpoints"),
    ],
)
def test_what_several_cannot_do_is_refused_by_name(
    changes: dict[str, Any], said: str, plan_of: PlanOf
) -> None:
    with pytest.raises(NotBuilt, match=said):
        refuse(plan_of("sma", **changes))


def test_an_adapter_within_a_bound_is_refused_by_name(plan_of: PlanOf) -> None:
    with pytest.raises(NotBuilt, match="kl_anchor with a lora"):
        refuse(plan_of("kl_anchor", lora={"rank": 2}))


@pytest.mark.parametrize(("rows", "shares"), [(5, (3, 3)), (1, (1, 1)), (4, (2, 2))])
def test_every_process_has_as_many_rows_and_each_row_counts_once(
    monkeypatch: pytest.MonkeyPatch, rows: int, shares: tuple[int, int]
) -> None:
    examples = [Example((k, k, k), prompt_tokens=1) for k in range(rows)]
    monkeypatch.setenv("WORLD_SIZE", "2")
    learnt: list[Example] = []
    counted: list[int] = []
    for place, count in enumerate(shares):
        monkeypatch.setenv("RANK", str(place))
        mine = share(examples)
        assert len(mine) == count
        learnt += [one for one in mine if one.completion_tokens]
        own, first = rank_places(rows)
        assert len(own) == count
        counted += own[:first]
    assert sorted(one.ids for one in learnt) == [one.ids for one in examples]
    assert sorted(counted) == list(range(rows))
