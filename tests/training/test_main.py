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

from holdfast.checkpoints.checkpoint import admit
from holdfast.repairs.plan import Plan
from training.__main__ import main, report

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
    output, complaints = process.communicate(timeout=280)
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


def test_a_bad_row_is_one_line_and_exit_65(tmp_path: Path, plan_of: PlanOf) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n\n{"prompt": "c", "completion": "  "}\n')
    plan = plan_of("finetune", task_data=rows)
    code, (event,), complaints = finish(start(written(plan, tmp_path), cwd=tmp_path))
    detail = f"{rows}, line 3: its completion is empty; write one or remove the row"
    assert (code, complaints) == (65, "")
    assert event == {"event": "error", "error": "InvalidTaskData", "detail": detail}
    assert not plan.output.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "error", "detail"),
    [
        (["/nowhere/plan.json"], 65, "InvalidPlan", "cannot be read: No such file"),
        ([], 65, "InvalidPlan", "expected one argument, the plan's path, got 0"),
        (["a.json", "b.json"], 65, "InvalidPlan", "got 2"),
        (["PLAN"], 70, "FileNotFoundError", "/proc/self/.output"),
    ],
)
def test_exit_codes_tell_the_callers_fault_from_ours(
    tmp_path: Path,
    plan_of: PlanOf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    error: str,
    detail: str,
) -> None:
    unwritable = Path("/proc/self/output")  # /proc takes no folder, not even from root
    plan = written(plan_of("wise_ft", output=unwritable), tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["training", *(str(plan) if a == "PLAN" else a for a in arguments)]
    )
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main() == code
    finally:
        signal.signal(signal.SIGTERM, before)
    lines, complaints = capsys.readouterr()
    event = json.loads(lines)
    assert (event["event"], event["error"]) == ("error", error)
    assert detail in event["detail"]
    assert ("Traceback" in complaints) == (code == 70)


def test_a_figure_that_is_no_number_is_said_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    report("watch", step=3, refusal_nats=float("nan"), limit=float("inf"), safe=False)
    expected = {"event": "watch", "step": 3, "refusal_nats": None, "limit": None, "safe": False}
    assert json.loads(capsys.readouterr().out) == expected


def test_a_killed_run_leaves_no_output(tmp_path: Path, plan_of: PlanOf) -> None:
    plan = plan_of("finetune", steps=100_000, output=tmp_path / "output")
    path = written(plan, tmp_path)
    killed = {signal.SIGKILL: -9, signal.SIGTERM: 143}
    processes = [start(path, cwd=tmp_path) for _ in killed]
    for process, (sent, code) in zip(processes, killed.items(), strict=True):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "step"
        process.send_signal(sent)
        assert finish(process)[0] == code
    assert list(tmp_path.iterdir()) == [path]
