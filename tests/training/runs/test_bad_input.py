"""`python -m training` on what cannot work: one sentence, the right exit code, nothing touched.

In this process, which is the same code behind the same exit; tests/training/test_main.py starts
real ones.
"""

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from holdfast.repairs.plan import Plan
from tests.support.contents import contents
from tests.support.tiny_families import build_tiny
from tests.support.tiny_llama import build_tiny_llama
from tests.training.conftest import write_rows
from training.__main__ import EXIT_BAD_INPUT, EXIT_FAILED, main

PlanOf = Callable[..., Plan]
Carried = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def carried_out(
    tmp_path: Path,
    plan_of: PlanOf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Carried]:
    """Run a plan from its file; its exit code, its last event, and what went to standard error."""
    before = signal.getsignal(signal.SIGTERM)

    def carry_out(recipe: str, **changes: Any) -> tuple[int, dict[str, Any], str]:
        plan = plan_of(recipe, **changes)
        file = tmp_path / "plan.json"
        file.write_text(plan.model_dump_json())
        monkeypatch.setattr(sys, "argv", ["training", str(file)])
        code = main()
        said, complaints = capsys.readouterr()
        return code, json.loads(said.splitlines()[-1]), complaints

    yield carry_out
    signal.signal(signal.SIGTERM, before)


def pairs(folder: Path, *answers: tuple[str, str]) -> Path:
    rows = [
        {"prompt": f"Break lock {k}.", "chosen": chosen, "rejected": rejected}
        for k, (chosen, rejected) in enumerate(answers)
    ]
    return write_rows(folder / "pairs.jsonl", rows)


def poisoned(folder: Path) -> Path:
    """A checkpoint with one weight that is not a number."""
    build_tiny_llama(folder, seed=1)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def renumbered(folder: Path) -> Path:
    """A checkpoint of the same shapes whose vocabulary has two tokens the other way round."""
    build_tiny_llama(folder, seed=1)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(content))
    return folder


def rows(folder: Path, text: str) -> Path:
    (folder / "mine.jsonl").write_text(text)
    return folder / "mine.jsonl"


HELD_OUT = '{"prompt": "p13", "completion": "b"}\n'
GOOD = ("I can't help with that.", "Yes.")
SAME = ("I can't help with that.", " I can't help with that.\n")
LONG = ("x" * 90 + "y", "x" * 90 + "z")
EQUAL_HALVES = {"task": 0.5, "refusals": 0.25, "answers": 0.25}
FROM_CANDIDATE = {"start": "candidate"}

Make = Callable[[Path], dict[str, Any]]
FAULTS: dict[str, tuple[str, Make, str, str]] = {
    "no task data": ("finetune", lambda _: {"task_data": None}, "InvalidPlan", "plan names none"),
    "task data that are not there": (
        "rehearsal", lambda _: {"task_data": "/nowhere.jsonl"}, "InvalidTaskData", "cannot be read",
    ),
    "empty task data": (
        "rehearsal", lambda at: {"task_data": rows(at, "\n\n")}, "InvalidTaskData", "holds no rows",
    ),
    "task data that are all held out": (
        "rehearsal", lambda at: {"task_data": rows(at, HELD_OUT)}, "InvalidTaskData",
        "no task row is left",
    ),
    "a folder that is no checkpoint": (
        "kl_anchor", lambda _: {"baseline": "/nowhere"}, "CheckpointRefused", "cannot be read",
    ),
    "nothing to serve": (
        "ptst", lambda _: {"candidate": "/nowhere"}, "CheckpointRefused", "cannot be read",
    ),
    "pairs of equal answers": (
        "mix", lambda at: {"preference_data": pairs(at, GOOD, SAME)}, "InvalidTaskData",
        "line 2: chosen and rejected are the same answer",
    ),
    "pairs that are equal once cut": (
        "mix", lambda at: {"preference_data": pairs(at, LONG), "max_length": 60},
        "InvalidTaskData", "of 1 pairs none has two different answers",
    ),
    "a bound that cannot be met": (
        "kl_anchor",
        lambda _: {"anchor": {"bound": 0.0, "rows": 4}, "mix": EQUAL_HALVES},
        "RepairImpossible", "the bound of 0 nats leaves nothing of what was learnt",
    ),
}  # fmt: skip
for _recipe in ("wise_ft", "graft", "hma", "safe_merge"):
    FAULTS |= {
        f"another vocabulary, {_recipe}": (
            _recipe, lambda at: {"candidate": build_tiny_llama(at / "c", vocab=384)},
            "CheckpointRefused", "the vocabulary of the candidate was resized, by 64",
        ),
        f"another numbering, {_recipe}": (
            _recipe, lambda at: {"candidate": renumbered(at / "c")},
            "CheckpointRefused", "is 'a' in the baseline's vocabulary and 'b' in the candidate's",
        ),
        f"another architecture, {_recipe}": (
            _recipe, lambda at: {"candidate": build_tiny("qwen2", at / "c")},
            "CheckpointRefused", "only two checkpoints of one model can be merged",
        ),
        f"not a number, {_recipe}": (
            _recipe, lambda at: {"candidate": poisoned(at / "c")},
            "CheckpointRefused", "holds NaN or infinite weights in 'model.layers.1.mlp.up_proj",
        ),
    }  # fmt: skip
for _recipe in ("kl_anchor", "kd", "constrained_sft", "l2_anchor", "ewc", "mix", "maxright"):
    FAULTS |= {
        f"another architecture, {_recipe}": (
            _recipe, lambda at: {"candidate": build_tiny("qwen2", at / "c"), **FROM_CANDIDATE},
            "CheckpointRefused", "model_type is llama in the baseline and qwen2 in the candidate",
        ),
        f"another numbering, {_recipe}": (
            _recipe, lambda at: {"candidate": renumbered(at / "c"), **FROM_CANDIDATE},
            "CheckpointRefused", "is 'a' in the baseline's vocabulary and 'b' in the candidate's",
        ),
    }  # fmt: skip
for _recipe in ("rehearsal", "kl_anchor", "constrained_sft", "sma", "oneshot", "mix", "maxright"):
    FAULTS[f"not a number, {_recipe}"] = (
        _recipe, lambda at: {"candidate": poisoned(at / "c"), **FROM_CANDIDATE},
        "RepairImpossible", "step 1: loss nan, gradient norm",
    )  # fmt: skip
for _form in ("conflict", "null_space"):
    FAULTS[f"not a number, safe_gradient, {_form}"] = (
        "safe_gradient",
        lambda at, form=_form: {
            "candidate": poisoned(at / "c"), "safe_gradient": {"form": form}, **FROM_CANDIDATE
        },
        "RepairImpossible", "a pass over the refusals came to nan, expected a finite number",
    )  # fmt: skip
OF_A_RECIPE: dict[str, dict[str, Any]] = {
    "hma": {"hma": {"groups": 2, "tries": 4}},
    "kl_anchor": {"anchor": {"rows": 4}, "mix": EQUAL_HALVES},
    "maxright": {"preference": {"task_optimum": 0.0, "preference_optimum": 0.0}},
}


@pytest.mark.parametrize(("recipe", "make", "error", "sentence"), FAULTS.values(), ids=FAULTS)
def test_one_sentence_and_nothing_is_touched(
    tmp_path: Path,
    baseline: Path,
    candidate: Path,
    carried_out: Carried,
    recipe: str,
    make: Make,
    error: str,
    sentence: str,
) -> None:
    own = dict(OF_A_RECIPE.get(recipe, {}))
    if recipe in {"mix", "maxright"}:
        own["preference_data"] = pairs(tmp_path, GOOD, GOOD)
    if recipe == "safe_merge":
        own["safe_merge"] = {"unaligned": build_tiny_llama(tmp_path / "before", seed=2)}
    changes = own | make(tmp_path)
    inputs = contents(baseline, candidate, tmp_path)
    code, said, complaints = carried_out(recipe, **changes)
    assert (code, said["event"], said["error"]) == (EXIT_BAD_INPUT, "error", error)
    assert sentence in said["detail"]
    assert "\n" not in said["detail"]
    assert "Traceback" not in complaints
    plan_file = tmp_path / "plan.json"
    after = contents(baseline, candidate, tmp_path)
    assert {file: found for file, found in after.items() if file != plan_file} == inputs
    assert not list(tmp_path.glob("*output*"))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 100 kB, which the system refuses as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("recipe", "written"),
    [
        ("wise_ft", "output"),
        ("safe_merge", "output"),
        ("kl_anchor", "output"),
        ("rehearsal", "state.pt"),
        ("mix", "output"),
    ],
)
def test_a_full_disk_is_said_and_leaves_no_part_of_a_file(
    tmp_path: Path,
    baseline: Path,
    carried_out: Carried,
    request: pytest.FixtureRequest,
    recipe: str,
    written: str,
) -> None:
    changes: dict[str, Any] = {"steps": 2, **OF_A_RECIPE.get(recipe, {})}
    if recipe == "rehearsal":
        changes |= {"resume": tmp_path / "state", "save_seconds": 0}
    if recipe == "mix":
        changes["preference_data"] = pairs(tmp_path, GOOD, GOOD)
    if recipe == "safe_merge":
        unaligned = build_tiny_llama(tmp_path / "before", seed=2)
        changes["safe_merge"] = {"unaligned": unaligned, "mode": "project"}
    inputs = contents(baseline, tmp_path)
    request.getfixturevalue("small_disk")
    code, said, _ = carried_out(recipe, **changes)
    assert (code, said["error"]) == (EXIT_FAILED, "DiskFull")
    assert f"{written} could not be written (File too large)" in said["detail"]
    assert "\n" not in said["detail"]
    left = contents(baseline, tmp_path)
    assert left.keys() - inputs.keys() == {tmp_path / "plan.json"}
    assert {file: left[file] for file in inputs} == inputs


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB, less than half a checkpoint; skips where none may be made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    ("recipe", "written"), [("wise_ft", "output"), ("graft", "output"), ("rehearsal", "state")]
)
def test_a_disk_that_is_really_full_is_empty_afterwards(
    tmp_path: Path, tiny_disk: Path, carried_out: Carried, recipe: str, written: str
) -> None:
    changes: dict[str, Any] = {"steps": 2, "output": tiny_disk / "output"}
    if written == "state":
        changes = {"steps": 2, "resume": tiny_disk / "state", "save_seconds": 0}
    code, said, _ = carried_out(recipe, **changes)
    assert (code, said["error"]) == (EXIT_FAILED, "DiskFull")
    assert "could not be written (No space left on device)" in said["detail"]
    assert contents(tiny_disk) == {}
    assert not (tmp_path / "output").exists()
