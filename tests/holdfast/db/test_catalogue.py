"""Registered once by content; an alias is moved only by who saw where it stood."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from holdfast.checkpoints.checkpoint import CheckpointRef, admit
from holdfast.db import catalogue
from holdfast.db.evaluations import (
    EvaluationFields,
    create_evaluation,
    create_remediation,
    get_remediation,
)
from holdfast.db.session import transaction
from holdfast.errors import Conflict, InvalidPlan, NotFound, StaleVersion
from holdfast.policy.text import load_policy
from tests.support.folders import write_checkpoint


@pytest.fixture
def ref(home: Path) -> CheckpointRef:
    return admit(str(write_checkpoint(home / "models" / "a")), [home])


def test_the_same_content_is_the_same_checkpoint(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    copy = admit(str(write_checkpoint(home / "models" / "copy")), [home])
    with transaction(database) as session:
        first = catalogue.register_checkpoint(session, "p", ref)
        again = catalogue.register_checkpoint(session, "p", copy)
        other = catalogue.register_checkpoint(session, "q", ref)
        assert (first.id, again.path, again.name) == (again.id, str(copy.path), "a")
        assert other.id != first.id
        with pytest.raises(NotFound):
            catalogue.get_checkpoint(session, "q", first.id)
        with pytest.raises(NotFound):
            catalogue.register_checkpoint(session, "q", ref, parent_id=first.id)


def test_a_parent_may_be_told_later_and_is_never_another(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    folders = [write_checkpoint(home / "models" / str(i), value=i) for i in (1, 2)]
    with transaction(database) as session:
        row = catalogue.register_checkpoint(session, "p", ref)
        first, second = (
            catalogue.register_checkpoint(session, "p", admit(str(folder), [home]))
            for folder in folders
        )
        assert catalogue.find_unaligned(session, row.id) is None
        with pytest.raises(InvalidPlan, match="name it as the baseline's `parent`"):
            catalogue.require_unaligned(session, row.id)
        for _ in range(2):
            catalogue.name_parent(session, row, first.id)
            assert catalogue.find_unaligned(session, row.id) == first
        for wrong in (second, row):
            with pytest.raises(Conflict):
                catalogue.name_parent(session, row, wrong.id)
        assert row.parent_id == first.id


def test_the_parent_of_a_repair_is_no_model_from_before_alignment(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    failed = admit(str(write_checkpoint(home / "models" / "failed", value=1.0)), [home])
    with transaction(database) as session:
        failing = catalogue.register_checkpoint(session, "p", failed).id
        policy = catalogue.save_policy(session, "p", load_policy("demo"), "text").id
        origin = create_evaluation(
            session,
            EvaluationFields(
                project="p",
                queue="cpu",
                candidate_id=failing,
                baseline_id=failing,
                policy_id=policy,
                tier="demo",
            ),
        )
        made = create_remediation(session, origin, recipe="wise_ft", options={})
        repaired = catalogue.register_checkpoint(session, "p", ref, parent_id=failing)
        assert catalogue.find_unaligned(session, repaired.id) is not None
        get_remediation(session, made).checkpoint_id = repaired.id
        assert catalogue.find_unaligned(session, repaired.id) is None


def test_policies_by_what_they_mean(database: Engine) -> None:
    policy = load_policy("demo")
    with transaction(database) as session:
        first = catalogue.save_policy(session, "p", policy, "text")
        again = catalogue.save_policy(session, "p", policy, "# other layout")
        assert (first.id, again.text) == (again.id, "text")


def test_an_alias_moves_from_the_version_that_was_seen(
    database: Engine, ref: CheckpointRef
) -> None:
    def move(expected: int | None) -> int:
        with transaction(database) as session:
            target = catalogue.register_checkpoint(session, "p", ref).id
            return catalogue.set_baseline(
                session, "p", "production", target, actor="key_1", expected_version=expected
            ).version

    with pytest.raises(StaleVersion, match="not set, expected version 1"):
        move(1)
    assert [move(None), move(1), move(2)] == [1, 2, 3]
    for stale in (None, 1, 2, 4):
        with pytest.raises(StaleVersion, match="version 3"):
            move(stale)
    with transaction(database) as session:
        history = catalogue.baseline_history(session, "p", "production")
        assert [(one.version, one.actor) for one in history] == [
            (3, "key_1"),
            (2, "key_1"),
            (1, "key_1"),
        ]
        with pytest.raises(NotFound):
            catalogue.get_baseline(session, "q", "production")


def test_two_movers_at_once_make_one_move(database: Engine, ref: CheckpointRef) -> None:
    with transaction(database) as session:
        target = catalogue.register_checkpoint(session, "p", ref).id

    def move(number: int) -> bool:
        try:
            with transaction(database) as session:
                catalogue.set_baseline(
                    session, "p", "a", target, actor=str(number), expected_version=None
                )
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(move, range(6))) == 1
