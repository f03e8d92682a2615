"""The audit trail in both databases: gapless, bound to its transaction, and only ever added to."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from holdfast.db.session import reading, transaction
from holdfast.projects import audit
from holdfast.projects.audit import Actor, all_events, head_of, record
from holdfast.projects.chain import verify
from holdfast.projects.tables import AuditEventRow

ANN = Actor("p", "ann", key_id="key_1", address="192.0.2.7", request_id="r1")


def act(database: Engine, target: str, actor: Actor = ANN) -> None:
    with transaction(database) as session:
        record(session, actor, "baseline.move", target, before=None, after={"checkpoint": target})


def test_acts_of_two_projects_are_two_whole_chains(database: Engine) -> None:
    for target in ("a", "b", "c"):
        act(database, target)
        act(database, target, Actor("q", None, authenticated="operator"))
    with reading(database) as session:
        for project in ("p", "q"):
            events = list(all_events(session, project))
            assert [event["target"] for event in events] == ["a", "b", "c"]
            assert verify(project, events) == head_of(session, project)


def test_many_at_once_leave_no_gap(database: Engine) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: act(database, str(number)), range(24)))
    with reading(database) as session:
        events = list(all_events(session, "p"))
        assert verify("p", events).seq == 24
    assert {event["target"] for event in events} == {str(number) for number in range(24)}


def test_an_act_that_rolls_back_leaves_no_record_and_no_gap(database: Engine) -> None:
    act(database, "a")
    with Session(database) as session:
        record(session, ANN, "baseline.move", "b")
        session.rollback()
    act(database, "c")
    with reading(database) as session:
        assert [event["target"] for event in all_events(session, "p")] == ["a", "c"]


def test_a_row_is_not_replaced_by_another_either(database: Engine) -> None:
    act(database, "a")
    columns = ", ".join(column.name for column in AuditEventRow.__table__.columns)
    values = columns.replace("target", "'x'")
    verb = "INSERT OR REPLACE" if database.dialect.name == "sqlite" else "INSERT"
    replace = f"{verb} INTO audit_events ({columns}) SELECT {values} FROM audit_events"
    with pytest.raises(DBAPIError), database.begin() as connection:
        connection.execute(text(replace))
    with reading(database) as session:
        assert [event["target"] for event in all_events(session, "p")] == ["a"]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET target = 'x'", "DELETE FROM audit_events"]
)
def test_the_database_itself_refuses_to_change_the_past(database: Engine, statement: str) -> None:
    act(database, "a")
    with pytest.raises(DBAPIError, match="only ever added to"), database.begin() as connection:
        connection.execute(text(statement))
    with reading(database) as session:
        assert [event["target"] for event in all_events(session, "p")] == ["a"]


def test_pages_are_read_to_the_end(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    for target in "abcde":
        act(database, target)
    with reading(database) as session:
        assert "".join(event["target"] for event in all_events(session, "p")) == "abcde"
