"""Heads that the server signs by itself, once an hour and key: no cut trail agrees with them."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from holdfast.db.session import reading, transaction
from holdfast.errors import AuditBroken
from holdfast.projects.audit import Actor, all_events, head_of, public_key_text, record
from holdfast.projects.chain import Head, verify, verify_heads
from holdfast.projects.signed_heads import FILE, read_signed_heads, sign_moved_heads

KEY = Ed25519PrivateKey.generate()
TRUSTED = [public_key_text(KEY)]
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
WITHOUT_TRIGGERS = {
    "sqlite": "DROP TRIGGER audit_events_no_delete",
    "postgresql": "ALTER TABLE audit_events DISABLE TRIGGER ALL",
}


def act(database: Engine, target: str, project: str = "p") -> None:
    with transaction(database) as session:
        record(session, Actor(project, "ann"), "baseline.move", target)


def sign(database: Engine, home: Path, minutes: int, key: Ed25519PrivateKey = KEY) -> list[int]:
    """Sign what is due some minutes after noon; the numbers of the events at those heads."""
    signed = sign_moved_heads(database, home, key, NOON + timedelta(minutes=minutes))
    return [head.seq for head in signed]


def check(database: Engine, home: Path, project: str = "p") -> Head:
    """The trail's head, if it holds every head that was signed."""
    with reading(database) as session:
        events = list(all_events(session, project))
    head = verify(project, events)
    verify_heads(head, read_signed_heads(home, project), events, TRUSTED)
    return head


def cut(database: Engine, seq: int) -> None:
    """Remove every event after a number, and put the head where it was then, as no key may."""
    with database.begin() as connection:
        connection.execute(text(WITHOUT_TRIGGERS[database.dialect.name]))
        connection.execute(text(f"DELETE FROM audit_events WHERE seq > {seq}"))
        digest = connection.scalar(text(f"SELECT digest FROM audit_events WHERE seq = {seq}"))
        connection.execute(text(f"UPDATE audit_heads SET seq = {seq}, digest = '{digest}'"))


def test_a_chain_that_moved_is_signed_and_at_most_once_an_hour(
    database: Engine, home: Path
) -> None:
    assert sign(database, home, 0) == []
    act(database, "a")
    assert sign(database, home, 1) == [1]
    act(database, "b")
    assert sign(database, home, 60) == []
    assert sign(database, home, 61) == [2]
    assert sign(database, home, 200) == [], "it has not moved"
    act(database, "c", project="q")
    assert sign(database, home, 201) == [1]
    assert [signed.head.seq for signed in read_signed_heads(home, "p")] == [1, 2]
    assert check(database, home).seq == 2


def test_many_processes_of_a_data_folder_sign_once_and_another_key_for_itself(
    database: Engine, home: Path
) -> None:
    act(database, "a")
    with ThreadPoolExecutor(6) as pool:
        signed = list(pool.map(lambda _: sign(database, home, 0), range(12)))
    assert sorted(signed) == [[]] * 11 + [[1]]
    assert sign(database, home, 0, Ed25519PrivateKey.generate()) == [1]


def test_a_clock_that_was_set_back_does_not_end_the_signing(database: Engine, home: Path) -> None:
    act(database, "a")
    assert sign(database, home, 600) == [1]
    act(database, "b")
    assert sign(database, home, 0) == [2]


def test_a_cut_tail_is_found_without_an_export_and_is_not_signed(
    database: Engine, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for target in "abc":
        act(database, target)
    sign(database, home, 0)
    cut(database, 2)
    with pytest.raises(AuditBroken, match="ends at event 2, but had 3 before: cut"):
        check(database, home)
    with caplog.at_level(logging.ERROR):
        assert sign(database, home, 100) == []
    assert "project p lacks event 3" in caplog.text


def test_a_tail_that_was_written_anew_is_found_and_is_not_signed(
    database: Engine, home: Path
) -> None:
    for target in "abc":
        act(database, target)
    sign(database, home, 0)
    cut(database, 2)
    for target in "xyz":
        act(database, target)
    with pytest.raises(AuditBroken, match="event 3 is another"):
        check(database, home)
    assert sign(database, home, 100) == []


def test_a_head_that_is_of_no_event_is_not_signed(database: Engine, home: Path) -> None:
    act(database, "a")
    with database.begin() as connection:
        connection.execute(text("UPDATE audit_heads SET seq = 7"))
    assert sign(database, home, 0) == []


def test_a_line_that_a_crash_cut_short_does_not_count(database: Engine, home: Path) -> None:
    act(database, "a")
    sign(database, home, 0)
    whole = (home / FILE).read_bytes()
    (home / FILE).write_bytes(whole + whole[:50])
    assert [signed.head.seq for signed in read_signed_heads(home, "p")] == [1]
    act(database, "b")
    assert sign(database, home, 60) == [2]
    assert [signed.head.seq for signed in read_signed_heads(home, "p")] == [1, 2]


@pytest.mark.parametrize("line", ["{}", "no JSON", "[]", '{"head": 1}'])
def test_a_line_that_is_no_head_is_said_and_nothing_is_signed(
    database: Engine, home: Path, line: str
) -> None:
    act(database, "a")
    (home / FILE).write_text(line + "\n")
    with pytest.raises(AuditBroken, match="line 1, is no signed head"):
        list(read_signed_heads(home, "p"))
    with pytest.raises(AuditBroken, match="line 1, is no signed head"):
        sign(database, home, 0)


def test_a_head_that_another_key_signed_counts_only_where_that_key_is_trusted(
    database: Engine, home: Path
) -> None:
    other = Ed25519PrivateKey.generate()
    act(database, "a")
    sign(database, home, 0, other)
    with pytest.raises(AuditBroken, match="--trusted-key"):
        check(database, home)
    with reading(database) as session:
        events, head = list(all_events(session, "p")), head_of(session, "p")
    verify_heads(head, read_signed_heads(home, "p"), events, [*TRUSTED, public_key_text(other)])
