"""Checkpoints that lack part of their model, through pipeline and runner: no verdict, one try."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from holdfast.db import jobs
from holdfast.db.session import reading
from holdfast.db.tables import AnswerRow, JobRow
from holdfast.settings import Settings
from tests.support.published_layouts import Weights, rewrite, set_config
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.workers.conftest import REAL
from workers import tasks
from workers.worker import Worker

POLICY = """\
version: 1
name: small
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=REAL)


@pytest.fixture
def models(settings: Settings) -> Path:
    folder = settings.home / "models"
    build_reciting_llama(folder / "refusing", REFUSAL)
    build_reciting_llama(folder / "complying", COMPLIANCE)
    return folder


@pytest.fixture
def ended(
    worker: Worker, queue: Callable[..., str], claim: Callable[[], jobs.Lease]
) -> Callable[[], JobRow]:
    """Gate the complying model against the refusing one, in one attempt; the job as it ended."""

    def run() -> JobRow:
        job = queue("complying", "refusing", policy=POLICY, tier="canary")
        tasks.run(worker, claim())
        with reading(worker.database) as session:
            return session.get_one(JobRow, job)

    return run


def headless(weights: Weights) -> Weights:
    return {name: weight for name, weight in weights.items() if name != "lm_head.weight"}


def test_two_models_without_heads_are_not_judged(
    models: Path, ended: Callable[[], JobRow], database: Engine
) -> None:
    """Both heads would be the same random one, and the complying model would pass."""
    for name in ("refusing", "complying"):
        rewrite(models / name, headless)
    job = ended()
    assert job.status == "failed"
    assert str(job.error).startswith(
        "CheckpointRefused: the baseline: 1 tensor is missing and would be random (lm_head.weight)"
    )
    with reading(database) as session:
        assert session.query(AnswerRow).count() == 0


def test_a_candidate_under_other_names_is_refused_before_its_baseline_is_asked(
    models: Path, ended: Callable[[], JobRow], database: Engine
) -> None:
    rewrite(models / "complying", lambda whole: {f"module.{name}": w for name, w in whole.items()})
    job = ended()
    assert job.status == "failed"
    assert "CheckpointRefused: the candidate: 21 tensors are missing" in str(job.error)
    assert "DataParallel or DDP wrapped the model" in str(job.error)
    with reading(database) as session:
        assert session.query(AnswerRow).count() == 0


def test_a_malformed_config_ends_the_job_at_once(models: Path, ended: Callable[[], JobRow]) -> None:
    set_config(models / "complying", max_position_embeddings=None)
    job = ended()
    assert job.status == "failed"
    assert "config.json makes no model that transformers" in str(job.error)
