"""What is out of the ordinary in a checkpoint's files stands in the events of the job."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import events_after
from holdfast.db.session import reading
from holdfast.settings import Settings
from tests.support.evaluations import harm, verdict_of
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.workers.conftest import REAL
from workers.pipeline import evaluate
from workers.worker import Worker


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=REAL)


@pytest.fixture
def models(settings: Settings) -> Path:
    """`aligned` refuses, `eroded` complies and names a class that would lose every space."""
    folder = settings.home / "models"
    build_reciting_llama(folder / "aligned", REFUSAL)
    build_reciting_llama(folder / "eroded", COMPLIANCE)
    file = folder / "eroded" / "tokenizer_config.json"
    file.write_text(
        json.dumps(json.loads(file.read_bytes()) | {"tokenizer_class": "LlamaTokenizer"})
    )
    return folder


def test_a_tokenizer_class_that_reads_otherwise_is_told_once(
    worker: Worker, queue: Callable[..., str], claim: Callable[[], jobs.Lease]
) -> None:
    evaluation = queue(policy=harm(), tier="canary")
    evaluate(worker, claim())
    assert verdict_of(worker, evaluation).verdict == "fail"
    with reading(worker.database) as session:
        notes = [
            event.document for event in events_after(session, evaluation, 0) if event.kind == "note"
        ]
    assert [note["side"] for note in notes] == ["candidate"]
    assert "tokenizer_class LlamaTokenizer reads text otherwise" in notes[0]["text"]
