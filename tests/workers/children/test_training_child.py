"""The training child as a process: its words, its errors, its end when nobody wants it any more."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError, InvalidPlan, TrainingFailed
from holdfast.stack import stack_file
from tests.support.tiny_llama import build_tiny_llama
from workers.children.training_child import TrainingChild, failure
from workers.worker import Worker


@pytest.mark.parametrize(
    ("last", "kind", "words"),
    [
        ({}, TrainingFailed, "without a word"),
        ({"event": "step", "step": 3}, TrainingFailed, "without a word"),
        ({"event": "error", "error": "InvalidPlan", "detail": "no"}, InvalidPlan, "^no$"),
        (
            {"event": "error", "error": "ValueError", "detail": "no"},
            TrainingFailed,
            "ValueError: no",
        ),
        ({"event": "error", "error": "TrainingFailed", "detail": "no"}, TrainingFailed, "^no$"),
        (
            {"event": "error", "error": "EngineFailed", "detail": "x"},
            TrainingFailed,
            "EngineFailed",
        ),
        ({"event": "error", "error": "isfinite", "detail": "x"}, TrainingFailed, "isfinite"),
    ],
)
def test_the_last_word_says_what_ended_it(
    last: dict[str, Any], kind: type[HoldfastError], words: str, tmp_path: Path
) -> None:
    error = failure(last, tmp_path / "child.log")
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error


@pytest.fixture
def plan(worker: Worker) -> Callable[..., Path]:
    """Write a plan file for two real checkpoints: `plan(recipe="wise_ft")`."""
    models = worker.settings.home / "models"
    (worker.settings.home / "checkpoints").mkdir()
    for seed, name in enumerate(("baseline", "candidate")):
        build_tiny_llama(models / name, seed=seed)

    def write(**fields: object) -> Path:
        folder = worker.settings.home / "work" / "rem_1"
        folder.mkdir(parents=True)
        places = {name: str(models / name) for name in ("baseline", "candidate")}
        output = str(worker.settings.home / "checkpoints" / "rem_1")
        file = folder / "plan.json"
        file.write_text(json.dumps({**places, "output": output, **fields}))
        return file

    return write


def test_a_run_tells_its_progress_and_leaves_a_checkpoint(
    worker: Worker, plan: Callable[..., Path]
) -> None:
    said = list(worker.training.run(plan(recipe="wise_ft")))
    assert said[-1]["event"] == "done"
    assert Path(said[-1]["output"], "model.safetensors").is_file()
    assert list((worker.settings.home / "run").glob("*.sid")) == []


def test_the_childs_own_error_comes_back_as_what_it_is(
    worker: Worker, plan: Callable[..., Path]
) -> None:
    with pytest.raises(InvalidPlan, match="task_data"):
        list(worker.training.run(plan(recipe="finetune")))


def long_run(worker: Worker, plan: Callable[..., Path]) -> Path:
    """The plan of a training that is still at it when a test has seen enough."""
    task = worker.settings.home / "work" / "task.jsonl"
    file = plan(recipe="finetune", task_data=str(task), steps=300, batch_size=1)
    rows = [{"prompt": f"{n} + 1 =", "completion": str(n + 1)} for n in range(50)]
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_what_decides_the_arithmetic_reaches_what_trains(
    worker: Worker, plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    training = TrainingChild(worker.settings.model_copy(update={"dtype": "float32"}))
    run = training.run(long_run(worker, plan))
    next(run)
    (record,) = (worker.settings.home / "run").glob("*.sid")
    for pid in stack_file.session_of(int(record.stem)):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {b"ONEDNN_MAX_CPU_ISA=AVX2", b"HOLDFAST_DTYPE=float32"} <= set(environment)
    run.close()


def test_a_kill_from_another_thread_ends_the_run_and_leaves_nobody(
    worker: Worker, plan: Callable[..., Path]
) -> None:
    run = worker.training.run(long_run(worker, plan))
    next(run)
    (record,) = (worker.settings.home / "run").glob("*.sid")
    members = stack_file.session_of(int(record.stem))
    assert len(members) >= 2
    threading.Timer(0.2, worker.training.kill).start()
    with pytest.raises(TrainingFailed, match="without a word"):
        list(run)
    assert not [pid for pid, born in members.items() if stack_file.birth(pid) == born]
    assert list((worker.settings.home / "checkpoints").iterdir()) == []
