"""A checkpoint whose weights were removed is refused in a sentence; every other is let through."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from holdfast.db.evaluations import create_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointPlace, CheckpointRow
from holdfast.errors import CheckpointRefused
from holdfast.ids import new_id
from holdfast.projects.retention.repaired_weights import (
    lock_checkpoints_in,
    refuse_without_weights,
)
from holdfast.settings import Settings
from tests.holdfast.db.rows import ON_POSTGRES, ago, evaluation_fields
from tests.holdfast.projects.retention.rows import add_weights, point


def ask(database: Engine, place: Settings, checkpoint: str) -> None:
    with reading(database) as session:
        refuse_without_weights(session, session.get_one(CheckpointRow, checkpoint), place)


def remove(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    folder.rmdir()


def test_a_repair_without_its_weights_is_refused(filled: Engine, place: Settings) -> None:
    repair = new_id("rem")
    checkpoint = add_weights(filled, place.repairs / repair)
    ask(filled, place, checkpoint)
    remove(place.repairs / repair)
    with pytest.raises(CheckpointRefused, match=f"{checkpoint}, which the repair {repair} made"):
        ask(filled, place, checkpoint)


def test_a_copy_elsewhere_is_enough(filled: Engine, place: Settings) -> None:
    repair = new_id("rem")
    checkpoint = add_weights(filled, place.repairs / repair)
    copy = place.home / "models" / "copy"
    copy.mkdir(parents=True)
    with transaction(filled) as session:
        session.add(
            CheckpointPlace(
                checkpoint_id=checkpoint, path=str(copy), adapter=None, created_at=ago(0)
            )
        )
    remove(place.repairs / repair)
    ask(filled, place, checkpoint)


@pytest.mark.parametrize("name", ["models/tuned", "checkpoints/watched"])
def test_a_folder_that_no_repair_made_is_admissions_to_judge(
    filled: Engine, place: Settings, name: str
) -> None:
    checkpoint = add_weights(filled, place.home / name)
    remove(place.home / name)
    ask(filled, place, checkpoint)


def evaluate_at_once(database: Engine, checkpoint: str) -> None:
    """Queue an evaluation; OperationalError where that would have to wait."""
    with transaction(database) as session:
        session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        create_evaluation(session, evaluation_fields(candidate_id=checkpoint))


@ON_POSTGRES
def test_while_weights_are_removed_nobody_can_begin_to_need_them(
    filled: Engine, place: Settings
) -> None:
    """SQLite has one writer at a time; on PostgreSQL the checkpoint's row is locked."""
    repair = new_id("rem")
    checkpoint = add_weights(filled, place.repairs / repair)
    with transaction(filled) as pruning:
        assert [row.id for row in lock_checkpoints_in(pruning, repair)] == [checkpoint]
        with pytest.raises(OperationalError, match="lock timeout"):
            evaluate_at_once(filled, checkpoint)
    point(filled, "production", checkpoint)
