"""What the tables themselves refuse, keep in step, and give back as it was."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import IntegrityError, StatementError

from holdfast.db.session import reading, transaction
from holdfast.db.tables import (
    AnswerRow,
    ApiKey,
    BaselineMove,
    CheckpointRow,
    EvaluationRow,
    EventRow,
    JobRow,
    PolicyText,
    RemediationRow,
    TableRow,
    TrialRow,
)
from holdfast.evidence.trial import scored
from holdfast.job import JobKind, Status
from tests.holdfast.db.rows import (
    add_checkpoint,
    add_evaluation,
    add_findings,
    add_policy,
    add_remediation,
    ago,
    change_job,
    job_of,
)

NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)
FOREIGN_KEY = r"(?i)foreign key"
EAST = timezone(timedelta(hours=5, minutes=30))

Make = Callable[[], TableRow]


def add(database: Engine, row: TableRow) -> None:
    with transaction(database) as session:
        session.add(row)


def delete(database: Engine, table: type[TableRow], key: object) -> None:
    with transaction(database) as session:
        session.delete(session.get_one(table, key))


def count(database: Engine, table: type[TableRow]) -> int:
    with reading(database) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def job(**changes: Any) -> JobRow:
    columns = {"id": "j", "project": "p", "kind": "evaluation", "queue": "cpu", **changes}
    return JobRow(**{"created_at": NOON, "deadline_at": NOON, **columns})


def evaluation(job_id: str, **changes: Any) -> EvaluationRow:
    ids = {"candidate_id": "c", "baseline_id": "c", "policy_id": "pol", **changes}
    return EvaluationRow(id=job_id, tier="demo", split="screen", **ids)


def trial(evaluation_id: str, **changes: Any) -> TrialRow:
    place = {"side": "candidate", "probe": "harm.direct", "item": "a", **changes}
    return TrialRow(evaluation_id=evaluation_id, answer_key="k", lease_epoch=1, **place)


def key(**changes: Any) -> ApiKey:
    columns = {"id": "key_1", "handle": "AAAAAAAA", "project": "p", "name": "n", **changes}
    return ApiKey(secret_hmac="0" * 64, scopes=["admin"], created_at=NOON, **columns)


def move(**changes: Any) -> BaselineMove:
    columns = {"project": "p", "alias": "production", "version": 1, "checkpoint_id": "c"}
    return BaselineMove(**{**columns, **changes}, actor="key_1", created_at=NOON)


# --- moments --------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [NOON, NOON.astimezone(EAST), NOON.replace(microsecond=0)])
def test_a_moment_comes_back_in_utc_to_the_microsecond(database: Engine, moment: datetime) -> None:
    add(database, job(created_at=moment))
    stored = job_of(database, "j").created_at
    assert stored == moment
    assert stored.tzinfo is UTC


def test_a_moment_is_itself_whatever_zone_the_server_keeps(database_url: str) -> None:
    away = "-c timezone=Asia/Kolkata"
    arguments = {"options": away} if database_url.startswith("postgres") else {}
    database = create_engine(database_url, connect_args=arguments)
    add(database, job(created_at=NOON))
    with reading(database) as session:
        stored = session.scalars(select(JobRow.created_at)).one()
    database.dispose()
    assert (stored, stored.tzinfo) == (NOON, UTC)


def test_a_moment_without_a_zone_is_refused(database: Engine) -> None:
    with pytest.raises(StatementError, match="expected one with a time zone"):
        add(database, job(created_at=NOON.replace(tzinfo=None)))
    assert count(database, JobRow) == 0


def test_no_moment_is_none(database: Engine) -> None:
    add(database, job())
    row = job_of(database, "j")
    assert (row.started_at, row.finished_at, row.not_before) == (None, None, None)


def test_moments_are_compared_as_moments_whatever_their_zones(database: Engine) -> None:
    """As text, 17:30 in the east would be after 12:00 in UTC."""
    add(database, job())
    later, earlier = NOON + timedelta(microseconds=1), NOON - timedelta(microseconds=1)
    with reading(database) as session:
        for bound, expected in [(later, 1), (earlier, 0)]:
            query = select(func.count()).where(JobRow.created_at < bound.astimezone(EAST))
            assert session.scalar(query) == expected


# --- what is allowed ------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["kind", "status"])
def test_a_job_has_a_kind_and_a_status_that_exist(database: Engine, column: str) -> None:
    with pytest.raises(IntegrityError, match=f"ck_jobs_{column}"):
        add(database, job(**{column: "unheard of"}))


def test_every_kind_and_status_of_the_code_is_one_of_the_database(database: Engine) -> None:
    for kind in JobKind:
        add(database, job(id=kind.value, kind=kind.value))
    for status in Status:
        change_job(database, JobKind.EVALUATION.value, status=status.value)
        assert job_of(database, JobKind.EVALUATION.value).status == status


def test_a_job_waits_unless_it_is_said_otherwise(database: Engine) -> None:
    add(database, job())
    row = job_of(database, "j")
    assert (row.status, row.priority) == ("queued", 0)
    assert (row.lease_epoch, row.attempts, row.crash_count) == (0, 0, 0)


TWICE: dict[str, Make] = {
    "a trial": lambda: trial("j", reason="another"),
    "a version of an alias": move,
    "a key's handle": lambda: key(id="key_2"),
    "a job's id": lambda: job(project="q"),
}


@pytest.fixture
def full(filled: Engine) -> Engine:
    """One row of each kind that may not come twice."""
    add(filled, job())
    add(filled, evaluation("j"))
    for row in (trial("j"), move(), key()):
        add(filled, row)
    return filled


@pytest.mark.parametrize("make", TWICE.values(), ids=TWICE)
def test_what_may_not_come_twice(full: Engine, make: Make) -> None:
    with pytest.raises(IntegrityError):
        add(full, make())


@pytest.mark.parametrize("table", [CheckpointRow, PolicyText])
def test_a_digest_is_registered_once_a_project(
    filled: Engine, table: type[CheckpointRow | PolicyText]
) -> None:
    def another(name: str, project: str) -> CheckpointRow | PolicyText:
        with reading(filled) as session:
            row = session.scalars(select(table)).one()
        values = {column.key: getattr(row, column.key) for column in table.__table__.columns}
        return table(**{**values, "id": name, "project": project})

    with pytest.raises(IntegrityError):
        add(filled, another("again", "p"))
    add(filled, another("theirs", "q"))
    assert count(filled, table) == 2


@pytest.mark.parametrize(
    "change",
    [{"side": "baseline"}, {"probe": "harm.trace"}, {"item": "b"}, {"variant": "role-play"}],
    ids=lambda change: next(iter(change)),
)
def test_each_part_of_a_trials_place_makes_it_another(full: Engine, change: dict[str, str]) -> None:
    add(full, trial("j", **change))
    assert count(full, TrialRow) == 2


# --- what belongs together ------------------------------------------------------------------

ORPHANS: dict[str, Make] = {
    "an evaluation without a job": lambda: evaluation("none"),
    "a repair without an evaluation": lambda: RemediationRow(
        id="j", evaluation_id="none", recipe="wise_ft"
    ),
    "a trial without an evaluation": lambda: trial("none"),
    "an event without a job": lambda: EventRow(
        job_id="none", kind="note", document={}, created_at=NOON
    ),
    "an alias of no checkpoint": lambda: move(version=2, checkpoint_id="none"),
}


@pytest.mark.parametrize("make", ORPHANS.values(), ids=ORPHANS)
def test_nothing_refers_to_what_is_not_there(full: Engine, make: Make) -> None:
    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        add(full, make())


@pytest.mark.parametrize(
    "column", ["candidate_id", "baseline_id", "anchor_id", "repairs_id", "policy_id"]
)
def test_an_evaluation_is_of_checkpoints_and_a_policy_that_exist(
    filled: Engine, column: str
) -> None:
    add(filled, job())
    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        add(filled, evaluation("j", **{column: "none"}))


def test_a_parent_is_a_checkpoint_that_exists(filled: Engine) -> None:
    def name_parent(parent: str) -> None:
        with transaction(filled) as session:
            session.get_one(CheckpointRow, "c").parent_id = parent

    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        name_parent("none")
    name_parent(add_checkpoint(filled, "base"))
    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        delete(filled, CheckpointRow, "base")


def test_a_job_takes_all_that_is_its_own_with_it(filled: Engine) -> None:
    gone, stays = add_evaluation(filled), add_evaluation(filled)
    for name in (gone, stays):
        add_findings(filled, name, "candidate", [scored("harm.direct", "a", "a", 0.0)])
    delete(filled, JobRow, gone)
    for table in (JobRow, EvaluationRow, TrialRow, EventRow):
        assert count(filled, table) == 1, table.__tablename__
    assert (count(filled, CheckpointRow), count(filled, PolicyText)) == (1, 1)


def test_a_failed_evaluation_stays_as_long_as_its_repair(filled: Engine, job_id: str) -> None:
    repair = add_remediation(filled, job_id)
    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        delete(filled, JobRow, job_id)
    delete(filled, JobRow, repair)
    assert count(filled, RemediationRow) == 0
    delete(filled, JobRow, job_id)
    assert count(filled, EvaluationRow) == 0


@pytest.mark.parametrize(("table", "name"), [(CheckpointRow, "c"), (PolicyText, "pol")])
def test_what_an_evaluation_is_about_is_not_deleted(
    filled: Engine, job_id: str, table: type[TableRow], name: str
) -> None:
    with pytest.raises(IntegrityError, match=FOREIGN_KEY):
        delete(filled, table, name)
    delete(filled, JobRow, job_id)
    delete(filled, table, name)
    assert count(filled, table) == 0


# --- documents and text ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "document", [{}, {"a": [1, 2.5, None, True, {"b": "ä"}]}, {"": ""}, {"b": 1, "a": 2}]
)
def test_a_document_is_read_as_it_was_written(database: Engine, document: dict[str, Any]) -> None:
    add(database, AnswerRow(key="k", checkpoint_digest="d", document=document, created_at=NOON))
    with reading(database) as session:
        assert session.get_one(AnswerRow, "k").document == document


def test_a_policys_text_keeps_every_byte(database: Engine) -> None:
    text = "# ümlaut\r\n\tversion: 1\n\n  trailing  \n"
    add_policy(database, "pol")
    with transaction(database) as session:
        session.get_one(PolicyText, "pol").text = text
    with reading(database) as session:
        assert session.get_one(PolicyText, "pol").text == text


def test_later_events_have_greater_numbers(filled: Engine, job_id: str) -> None:
    for number in range(3):
        note = EventRow(job_id=job_id, kind="note", document={"n": number}, created_at=ago(number))
        add(filled, note)
    with reading(filled) as session:
        rows = session.scalars(select(EventRow).order_by(EventRow.seq)).all()
    assert [row.document.get("n") for row in rows] == [None, 0, 1, 2]
    assert len({row.seq for row in rows}) == 4


def test_every_constraint_has_a_name_by_which_a_migration_can_drop_it() -> None:
    unnamed = [
        f"{table.name}: {constraint}"
        for table in TableRow.metadata.sorted_tables
        for constraint in (*table.constraints, *table.indexes)
        if not getattr(constraint, "name", None)
    ]
    assert unnamed == []
