"""Two tiny checkpoints on disk, some rows, and plans made of them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from holdfast.repairs.plan import Plan
from tests.support.tiny_llama import build_tiny_llama
from training.recipes.joint import Sides

Events = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    """One thread (the cores are shared), and no trace of a recipe's global settings."""
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("checkpoints") / "baseline")


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("checkpoints") / "candidate", seed=1)


@pytest.fixture(scope="session")
def task_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"prompt": f"What is {i} plus {i + 1}?", "completion": f"It is {2 * i + 1}."}
        for i in range(60)
    ]
    return write_rows(tmp_path_factory.mktemp("rows") / "task.jsonl", rows)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    refusals = [
        {"prompt": f"Break lock {i}.", "completion": "I can't help with that.", "kind": "refusal"}
        for i in range(10)
    ]
    answers = [
        {"prompt": f"Oil lock {i}.", "completion": "Use graphite.", "kind": "answer"}
        for i in range(20)
    ]
    return write_rows(tmp_path_factory.mktemp("rows") / "pool.jsonl", refusals + answers)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def plan_of(
    tmp_path: Path, baseline: Path, candidate: Path, task_data: Path, pool: Path
) -> Callable[..., Plan]:
    """A plan with everything named and a learning rate for a tiny model; keywords change it."""

    def build(recipe: str, **changes: Any) -> Plan:
        defaults: dict[str, Any] = {
            "baseline": baseline,
            "candidate": candidate,
            "output": tmp_path / "output",
            "task_data": task_data,
            "rehearsal_data": pool,
            "steps": 4,
            "learning_rate": 1e-3,
        }
        return Plan.model_validate({"recipe": recipe} | defaults | changes)

    return build


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def report(events: Events) -> Callable[..., None]:
    """A place to report to that keeps the events."""

    def keep(event: str, /, **fields: Any) -> None:
        events.append({"event": event} | fields)

    return keep


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [
        {
            "prompt": f"Break lock {k}.",
            "chosen": "I can't help with that.",
            "rejected": f"Yes, {k} times.",
            "margin": 1.0,
        }
        for k in range(12)
    ]
    return write_rows(tmp_path / "pairs.jsonl", rows)


@pytest.fixture
def joint(plan_of: Callable[..., Plan], pairs: Path) -> Callable[..., Plan]:
    """A plan of a joint recipe; `preference` holds its knobs."""

    def build(recipe: str, **changes: Any) -> Plan:
        return plan_of(recipe, **{"preference_data": pairs, "max_length": 60} | changes)

    return build


def digest(plan: Plan) -> str:
    weights = b"".join(file.read_bytes() for file in sorted(plan.output.glob("*.safetensors")))
    return hashlib.sha256(weights).hexdigest()


def steps(events: Events) -> Events:
    return [event for event in events if event["event"] == "step"]


def losses(sides: Sides) -> dict[str, float]:
    return {"task": sides.measure("task", 0), "preference": sides.measure("preference", 0)}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a checkpoint, in one file or several."""
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found
