"""`python -m training` as a process: its lines, its exit codes, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoint import admit
from holdfast.remediation import Plan

PlanOf = Callable[..., Plan]
REPOSITORY = Path(__file__).parents[2]


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """The module as a worker starts it: not from the repository, nothing from the folder."""
    environment = os.environ | {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "training", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def written(plan: Plan, folder: Path) -> Path:
    path = folder / f"{plan.recipe}.json"
    path.write_text(plan.model_dump_json())
    return path


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    output, complaints = process.communicate(timeout=120)
    return process.returncode, [json.loads(line) for line in output.splitlines()], complaints


def test_every_recipe_runs_as_a_process(tmp_path: Path, plan_of: PlanOf) -> None:
    work = tmp_path / "work"
    work.mkdir()
    plans = [
        plan_of(recipe, output=tmp_path / recipe, steps=3)
        for recipe in ("finetune", "wise_ft", "rehearsal")
    ]
    processes = [start(written(plan, work), cwd=work) for plan in plans]
    for plan, process in zip(plans, processes, strict=True):
        code, events, complaints = finish(process)
        assert (code, complaints) == (0, "")
        steps, done = events[:-1], events[-1]
        assert done.pop("seconds") > 0
        assert len(steps) == (0 if plan.recipe == "wise_ft" else 3)
        assert done.pop("final_loss") == (steps[-1]["loss"] if steps else None)
        if plan.recipe == "wise_ft":
            assert done.pop("effective_ratio") == pytest.approx(0.8, rel=1e-3)
        assert done == {"event": "done", "output": str(plan.output), "recipe": plan.recipe}
        admit(str(plan.output), [tmp_path])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"work", "finetune", "wise_ft", "rehearsal"}


def test_bad_input_and_faults_are_one_line_and_an_exit_code(
    tmp_path: Path, plan_of: PlanOf, candidate: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n\n{"prompt": "c", "completion": "  "}\n')
    empty_completion = written(plan_of("finetune", task_data=rows), tmp_path)
    unwritable = Path("/proc/none")  # /proc takes no folder, whoever asks
    fault = written(plan_of("wise_ft", output=unwritable), tmp_path)
    cases = [
        (empty_completion, 65, "InvalidTaskData", f"{rows}, line 3: its completion is empty"),
        (tmp_path / "absent.json", 65, "InvalidPlan", "absent.json cannot be read"),
        (fault, 70, "", ""),
    ]
    processes = [start(path, cwd=tmp_path) for path, *_ in cases]
    for (_, code, title, detail), process in zip(cases, processes, strict=True):
        got, events, complaints = finish(process)
        assert (got, len(events)) == (code, 1)
        assert events[0]["event"] == "error"
        assert title in events[0]["error"]
        assert detail in events[0]["detail"]
        assert ("Traceback" in complaints) == (code == 70)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_killed_run_leaves_no_output(
    tmp_path: Path, plan_of: PlanOf, sent: signal.Signals, code: int
) -> None:
    plan = plan_of("finetune", steps=100_000, output=tmp_path / "output")
    process = start(written(plan, tmp_path), cwd=tmp_path)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "step"
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert {path.name for path in tmp_path.iterdir()} == {"finetune.json"}
