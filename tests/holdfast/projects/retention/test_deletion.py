"""A project's content is deleted as a whole, and nothing of another; its audit trail stays."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from holdfast.db.keys import create_key
from holdfast.db.session import reading, transaction
from holdfast.db.tables import (
    AnswerRow,
    ApiKey,
    CheckpointPlace,
    CheckpointRow,
    JobRow,
    TableRow,
)
from holdfast.errors import Conflict, NotFound
from holdfast.projects import tables
from holdfast.projects.audit import all_events, head_of
from holdfast.projects.chain import verify
from holdfast.projects.prune import prune
from holdfast.projects.retention.deletion import delete_project
from holdfast.projects.rules import Rules, set_rules
from holdfast.settings import Settings
from tests.holdfast.db.rows import add_checkpoint, add_evaluation, add_policy, ago
from tests.holdfast.projects.retention.rows import (
    add_answers,
    add_judged,
    add_repair,
    add_weights,
    checkpoint_of,
    count,
    end,
    point,
)

AUDIT = {"audit_events", "audit_heads"}


@pytest.fixture
def project(filled: Engine, place: Settings) -> tuple[str, str]:
    """A project `p` with a row in every table, beside a project `q`; its evaluation and repair."""
    evaluation = add_judged(filled, days=40, earlier=1)
    add_weights(filled, place.home / "models" / "child", parent_id="c")
    repair = add_repair(filled, place, evaluation, days=31)
    point(filled, "production", checkpoint_of(filled, repair))
    with transaction(filled) as session:
        create_key(session, b"pepper", "p", name="n", scopes=["admin"])
        create_key(session, b"pepper", "q", name="n", scopes=["admin"])
        rules = Rules(policy_id="pol", baseline="production")
        set_rules(session, "p", rules, principal="ann", expected_version=None)
        session.add(CheckpointPlace(checkpoint_id="c", path="/y", adapter=None, created_at=ago(0)))
    add_checkpoint(filled, "d", project="q")
    add_policy(filled, "law", project="q")
    theirs = add_judged(
        filled, days=31, project="q", candidate_id="d", baseline_id="d", policy_id="law"
    )
    end(filled, theirs, days=31)
    add_answers(filled, "sha256:c", ["p"], days=1)
    add_answers(filled, "sha256:d", ["q"], days=1)
    prune(filled, place.model_copy(update={"keep_trials_days": 35}))  # which archives p's
    return evaluation, repair


def rows_by_table(database: Engine) -> dict[str, int]:
    return {row.__tablename__: count(database, row) for row in TableRow.__subclasses__()}


def test_nothing_of_the_project_is_left_but_its_trail(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    evaluation, repair = project
    before = rows_by_table(filled)
    counted = delete_project(filled, place, "p", dry_run=True)
    assert rows_by_table(filled) == before
    assert delete_project(filled, place, "p") == counted
    names = [str(path) for path in place.home.rglob("*")]
    assert not [name for name in names if evaluation in name or repair in name]
    assert (place.home / "models" / "child" / "model.safetensors").exists()
    for name, amount in counted.amounts.items():
        if name in before:
            assert amount is not None
            assert rows_by_table(filled)[name] == before[name] - amount.rows, name
    for table in TableRow.__subclasses__():
        if "project" in table.__table__.columns and table.__tablename__ not in AUDIT:
            assert count(filled, table, table.__table__.c.project == "p") == 0


def test_the_other_project_is_as_it_was(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    delete_project(filled, place, "p")
    assert count(filled, CheckpointRow, CheckpointRow.project == "q") == 1
    assert count(filled, JobRow, JobRow.project == "q") == 1
    assert count(filled, ApiKey, ApiKey.project == "q") == 1
    with reading(filled) as session:
        assert session.get_one(AnswerRow, "q").checkpoint_digest == "sha256:d"
        assert session.get(AnswerRow, "p") is None


def test_the_trail_goes_on_and_says_who_deleted(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    delete_project(filled, place, "p")
    with reading(filled) as session:
        events = list(all_events(session, "p"))
        assert verify("p", events) == head_of(session, "p")
    assert [event["action"] for event in events] == ["trials.prune", "project.delete"]
    assert (events[1]["target"], events[1]["authenticated"]) == ("p", "operator")
    assert (events[1]["principal"], events[1]["key_id"]) == (None, None)
    assert events[1]["after"]["evaluations"] == 1
    assert events[1]["after"]["repairs"] == 1


def test_answers_of_a_checkpoint_that_others_have_too_stay(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    with transaction(filled) as session:
        session.get_one(CheckpointRow, "d").digest = "sha256:c"
    delete_project(filled, place, "p")
    assert count(filled, AnswerRow, AnswerRow.checkpoint_digest == "sha256:c") == 1


def test_weights_that_anothers_checkpoint_lies_in_stay(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    _, repair = project
    weights = place.repairs / repair
    with transaction(filled) as session:
        session.get_one(CheckpointRow, "d").path = str(weights)
    delete_project(filled, place, "p")
    assert weights.exists()


def test_a_project_with_work_that_is_not_over_is_refused(
    filled: Engine, place: Settings, project: tuple[str, str]
) -> None:
    add_evaluation(filled)
    before = rows_by_table(filled)
    for dry_run in (True, False):
        with pytest.raises(Conflict, match="1 jobs that wait or run; cancel them"):
            delete_project(filled, place, "p", dry_run=dry_run)
    assert rows_by_table(filled) == before


def test_a_name_that_is_no_project_is_refused(filled: Engine, place: Settings) -> None:
    with pytest.raises(NotFound, match="nothing of a project r"):
        delete_project(filled, place, "r")
    assert count(filled, tables.AuditEventRow) == 0
    assert Path(place.home).exists()
