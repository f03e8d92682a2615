"""Two processes under `accelerate launch`, on the CPU: the same losses and weights as one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from holdfast.remediation import Plan
from tests.support.fleet import free_port
from training.batches import Example
from training.parallel import share

PlanOf = Callable[..., Plan]
REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "examples" / "accelerate" / "two_cpu_processes.yaml"
ALONE = (sys.executable, "-m", "training")


def ran(plan: Plan, folder: Path, *command: object) -> tuple[int, list[dict[str, Any]]]:
    """Run a plan by a command; its exit code and events."""
    file = folder / f"{plan.output.name}.json"
    file.write_text(plan.model_dump_json())
    settings = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in (*command, file)],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def launched() -> tuple[object, ...]:
    launch = Path(sys.executable).with_name("accelerate")
    where = ("--config_file", CONFIG, "--main_process_port", free_port())
    return (launch, "launch", *where, "-m", "training")


def test_two_processes_learn_what_one_does(tmp_path: Path, plan_of: PlanOf) -> None:
    given = {"batch_size": 5, "store": "fp32", "watch": {"rows": 3, "limit": 99.0}}
    plans = [plan_of("rehearsal", output=tmp_path / name, **given) for name in ("one", "two")]
    (_, one), (code, two) = (
        ran(plans[0], tmp_path, *ALONE),
        ran(plans[1], tmp_path, *launched()),
    )
    assert code == 0, two
    assert two[-1]["processes"] == 2
    assert [event["event"] for event in two] == [event["event"] for event in one]
    for here, there in zip(one, two, strict=True):
        for figure in ("loss", "tokens", "refusal_nats"):
            if figure in here:
                assert there[figure] == pytest.approx(here[figure], rel=2e-3)
    weights = [load_file(plan.output / "model.safetensors") for plan in plans]
    assert weights[0].keys() == weights[1].keys()
    start = load_file(plans[0].baseline / "model.safetensors")
    for name, weight in weights[0].items():
        moved = (weight - start[name].float()).norm()
        assert (weights[1][name] - weight).norm() <= 0.05 * moved, name


def test_what_one_process_has_to_do_is_refused_by_several(tmp_path: Path, plan_of: PlanOf) -> None:
    code, events = ran(plan_of("wise_ft"), tmp_path, *launched())
    assert code != 0
    assert events[-1]["error"] == "NotBuilt"
    assert "runs in one process" in events[-1]["detail"]
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("rows", "shares"), [(5, (3, 3)), (1, (1, 1)), (4, (2, 2))])
def test_every_process_has_as_many_rows_and_each_row_counts_once(
    monkeypatch: pytest.MonkeyPatch, rows: int, shares: tuple[int, int]
) -> None:
    examples = [Example((k, k, k), prompt_tokens=1) for k in range(rows)]
    monkeypatch.setenv("WORLD_SIZE", "2")
    learnt: list[Example] = []
    for place, count in enumerate(shares):
        monkeypatch.setenv("RANK", str(place))
        mine = share(examples)
        assert len(mine) == count
        learnt += [one for one in mine if one.completion_tokens]
    assert sorted(one.ids for one in learnt) == [one.ids for one in examples]
