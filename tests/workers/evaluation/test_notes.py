"""What is out of the ordinary in a checkpoint's files stands in events and evidence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.db import jobs
from holdfast.db.evaluations import events_after, get_evaluation
from holdfast.db.session import reading
from holdfast.settings import Settings
from tests.support.evaluations import harm, verdict_of
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.workers.conftest import REAL
from workers.pipeline import evaluate
from workers.worker import Worker

OTHERWISE = "tokenizer_class LlamaTokenizer reads text otherwise"


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


def test_a_tokenizer_class_that_reads_otherwise_is_told_once_and_stands_in_evidence(
    worker: Worker, queue: Callable[..., str], claim: Callable[[], jobs.Lease]
) -> None:
    asked = queue(policy=harm(), tier="canary")
    evaluate(worker, claim())
    assert verdict_of(worker, asked).verdict == "fail"
    assert [event["side"] for event in events(worker, asked)] == ["candidate"]
    assert OTHERWISE in events(worker, asked)[0]["text"]
    assert_noted(worker, asked)

    cached = queue(policy=harm(), tier="canary")
    evaluate(worker, claim())
    assert not events(worker, cached)  # no model was opened
    assert_noted(worker, cached)


def events(worker: Worker, evaluation: str) -> list[dict[str, Any]]:
    with reading(worker.database) as session:
        found = events_after(session, evaluation, 0)
        return [event.document for event in found if event.kind == "note"]


def assert_noted(worker: Worker, evaluation: str) -> None:
    with reading(worker.database) as session:
        manifests = get_evaluation(session, evaluation).manifests
    assert "notes" not in manifests["baseline"]
    (note,) = manifests["candidate"]["notes"]
    assert note.startswith(OTHERWISE)
