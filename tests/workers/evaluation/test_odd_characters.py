"""A real checkpoint that says U+0000: judged on either database, and stored as it was said."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from holdfast.db import jobs
from holdfast.db.session import reading
from holdfast.db.tables import AnswerRow
from holdfast.probes.question import Answer
from holdfast.settings import Settings
from tests.conftest import copied_database
from tests.support.evaluations import verdict_of
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.workers.conftest import REAL
from tests.workers.evaluation.test_known_texts import POLICY
from workers import tasks
from workers.worker import Worker

ODD = (COMPLIANCE[0], "\0 and \0", *COMPLIANCE[1:])


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str]:
    """Either database: this differs between them."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        (home / "holdfast.db").write_bytes(template.read_bytes())
        yield f"sqlite:///{home}/holdfast.db"
    else:
        template_name = request.getfixturevalue("postgres_template")
        yield from copied_database(request.getfixturevalue("postgres_url"), template_name)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=REAL)


@pytest.fixture
def models(settings: Settings) -> Path:
    folder = settings.home / "models"
    pieces = tuple(dict.fromkeys((*REFUSAL, *ODD)))
    for name, text in {"refusing": REFUSAL, "odd": ODD}.items():
        build_reciting_llama(folder / name, text, all_pieces=pieces)
    return folder


def test_a_model_that_says_what_no_database_holds_is_judged_at_once(
    worker: Worker, queue: Callable[..., str], claim: Callable[[], jobs.Lease]
) -> None:
    made = queue("odd", "refusing", policy=POLICY, tier="canary")
    tasks.run(worker, claim())
    verdict = verdict_of(worker, made)
    assert (verdict.verdict, verdict.checks[0].candidate) == ("fail", 1.0)
    with reading(worker.database) as session:
        documents = session.scalars(select(AnswerRow.document)).all()
    stored = {Answer.from_json(doc).text for doc in documents if "replies" in doc}
    assert "".join(ODD) in stored
