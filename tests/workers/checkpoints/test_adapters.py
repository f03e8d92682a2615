"""A base and its adapter are merged once, by a child, and whole from then on."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast.checkpoints.adapter import admit_checkpoint, admitted_checkpoint
from holdfast.checkpoints.checkpoint import CheckpointRef, admit
from holdfast.db import jobs
from holdfast.db.catalogue import register_checkpoint
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.errors import CheckpointRefused
from tests.holdfast.checkpoints.test_adapter import BASE, CONFIG, FACTORS
from tests.support.folders import write_tensors
from workers.checkpoints.adapters import (
    FOLDER,
    find_merged,
    forget_unused,
    lock_file,
    merged_checkpoint,
)
from workers.evaluation.case import load_case
from workers.pipeline import evaluate
from workers.views import StagedCheckpoint
from workers.worker import Worker

Queue = Callable[..., str]


@pytest.fixture
def tuned(models: Path) -> Path:
    """A base that the scripted engine plays, and an adapter of it in `lora`."""
    folder = models / "tuned"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    (folder / "scripted.json").write_text(json.dumps({"refuse_share": 0.1}))
    write_tensors(folder / "model.safetensors", BASE)
    adapter = models / "lora"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps(CONFIG))
    write_tensors(adapter / "adapter_model.safetensors", FACTORS)
    return folder


@pytest.fixture
def ref(tuned: Path, worker: Worker) -> CheckpointRef:
    return admit_checkpoint(str(tuned), str(tuned.parent / "lora"), worker.settings.roots)


def merge(worker: Worker, ref: CheckpointRef) -> StagedCheckpoint:
    """What `readmit` does of the pair."""
    with ExitStack() as descriptors:
        pair = admitted_checkpoint(
            str(ref.path), str(ref.adapter), worker.settings.roots, descriptors
        )
        return merged_checkpoint(worker, pair)


@pytest.fixture
def children(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The plans that training children were started with."""
    started: list[Path] = []
    run = worker.training.run

    def counted(plan: Path) -> Iterator[dict[str, object]]:
        started.append(plan)
        return run(plan)

    monkeypatch.setattr(worker.training, "run", counted)
    return started


def test_it_is_merged_once_and_again_only_if_the_cache_was_touched(
    worker: Worker, ref: CheckpointRef, children: list[Path]
) -> None:
    first = merge(worker, ref)
    folder = first.ref.path
    assert (first.digest, first.name, first.ref.adapter) == (ref.digest, "tuned+lora", None)
    assert folder.parent == worker.settings.home / FOLDER
    assert f"sha256:{first.path.name}" == admit(str(folder), [folder.parent]).digest != ref.digest
    assert merge(worker, ref) == first
    assert len(children) == 1
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    assert merge(worker, ref) == first
    assert len(children) == 2
    kept = folder.with_suffix(".digest").read_text()
    assert find_merged(folder, kept) is not None
    assert find_merged(folder, "") is None  # killed before it was written down
    (folder / "model.safetensors").unlink()
    assert find_merged(folder, kept) is None


def test_what_nobody_uses_any_more_is_forgotten(tmp_path: Path) -> None:
    for name, age in (("old", 100.0), ("busy", 100.0), ("new", 0.0)):
        (tmp_path / name).mkdir()
        record = tmp_path / f"{name}.digest"
        record.write_text("sha256:…")
        os.utime(record, (1000.0 - age, 1000.0 - age))
    with lock_file(tmp_path / "busy.digest"):
        forget_unused(tmp_path, before=950.0)
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {"busy", "new"}
    assert (tmp_path / "old.digest").read_text() == ""
    assert (tmp_path / "busy.digest").read_text() != ""


def test_what_changed_while_it_was_merged_is_no_checkpoint(
    worker: Worker, ref: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(_: Path) -> Iterator[dict[str, object]]:
        (ref.path / "scripted.json").write_text("{}")
        return iter(())

    monkeypatch.setattr(worker.training, "run", meanwhile)
    with pytest.raises(CheckpointRefused, match="changed after it was admitted"):
        merge(worker, ref)


def test_an_evaluation_sees_a_whole_checkpoint_of_the_registered_digest(
    worker: Worker, queue: Queue, claim: Callable[[], jobs.Lease], ref: CheckpointRef
) -> None:
    evaluation = queue()
    with transaction(worker.database) as session:
        row = register_checkpoint(session, "p", ref)
        assert row.adapter == str(ref.adapter)
        get_evaluation(session, evaluation).candidate_id = row.id
    case = load_case(worker, evaluation)
    candidate = next(side.checkpoint for side in case.sides if side.name == "candidate")
    assert candidate.digest == ref.digest
    assert candidate.ref.path.is_relative_to(worker.settings.home / FOLDER)
    evaluate(worker, claim())
    with reading(worker.database) as session:
        ended = get_evaluation(session, evaluation)
    assert ended.verdict == "fail"
    assert ended.manifests["candidate"]["checkpoint"]["digest"] == ref.digest


def test_an_adapter_that_changed_since_it_was_registered_is_refused(
    worker: Worker, queue: Queue, ref: CheckpointRef
) -> None:
    evaluation = queue()
    with transaction(worker.database) as session:
        row = register_checkpoint(session, "p", ref)
        get_evaluation(session, evaluation).candidate_id = row.id
    assert ref.adapter is not None
    (ref.adapter / "adapter_config.json").write_text(json.dumps(CONFIG | {"lora_alpha": 1}))
    with pytest.raises(CheckpointRefused, match="never changes"):
        load_case(worker, evaluation)
