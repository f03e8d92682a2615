"""A checkpoint that is registered in several folders: none of them can spoil it for the others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.checkpoints.checkpoint import admit
from holdfast.db import jobs
from holdfast.db.catalogue import OTHER_PLACES, get_checkpoint, places_of, register_checkpoint
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import JobRow
from tests.support.stack import scripted_checkpoint
from workers import tasks
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
Spoil = Callable[[Path], object]


@pytest.fixture
def copy(worker: Worker, models: Path) -> Callable[[str], Path]:
    """Register a copy of the baseline in another folder of this name."""

    def make(name: str) -> Path:
        folder = models / name / "aligned"
        shutil.copytree(models / "aligned", folder)
        with transaction(worker.database) as session:
            register_checkpoint(session, "p", admit(str(folder), worker.settings.roots))
        return folder

    return make


def outcome(worker: Worker, claim: Claim, evaluation: str) -> tuple[str, str | None]:
    tasks.run(worker, claim())
    with reading(worker.database) as session:
        return session.get_one(JobRow, evaluation).status, get_evaluation(
            session, evaluation
        ).verdict


def overwrite(folder: Path) -> None:
    shutil.rmtree(folder)
    scripted_checkpoint(folder, 3.0, behaviour="comply-all")


@pytest.mark.parametrize("spoil", [shutil.rmtree, overwrite])
def test_a_copy_that_goes_or_changes_leaves_the_others_to_be_read(
    worker: Worker, queue: Queue, claim: Claim, copy: Callable[[str], Path], spoil: Spoil
) -> None:
    evaluation = queue()
    spoil(copy("elsewhere"))
    assert outcome(worker, claim, evaluation) == ("succeeded", "fail")


def test_the_first_folder_may_go_where_another_holds_the_same(
    worker: Worker, queue: Queue, claim: Claim, copy: Callable[[str], Path], models: Path
) -> None:
    evaluation = queue()
    copy("elsewhere")
    shutil.rmtree(models / "aligned")
    assert outcome(worker, claim, evaluation) == ("succeeded", "fail")


def test_without_any_folder_that_holds_it_every_one_is_named(
    worker: Worker, queue: Queue, claim: Claim, copy: Callable[[str], Path], models: Path
) -> None:
    evaluation = queue()
    overwrite(copy("elsewhere"))
    shutil.rmtree(models / "aligned")
    assert outcome(worker, claim, evaluation) == ("failed", None)
    with reading(worker.database) as session:
        error = session.get_one(JobRow, evaluation).error
    assert error is not None
    assert "does not exist" in error
    assert "elsewhere/aligned holds sha256:" in error


def test_the_first_folder_stays_first_and_a_flood_of_copies_is_cut(
    worker: Worker, queue: Queue, copy: Callable[[str], Path], models: Path
) -> None:
    evaluation = queue()
    copies = [copy(f"copy-{number}") for number in range(OTHER_PLACES + 2)]
    with reading(worker.database) as session:
        baseline = get_evaluation(session, evaluation).baseline_id
        places = places_of(session, get_checkpoint(session, "p", baseline))
    newest = [str(folder) for folder in reversed(copies[2:])]
    assert [place.path for place in places] == [str(models / "aligned"), *newest]
