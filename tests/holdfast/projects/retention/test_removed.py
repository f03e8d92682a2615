"""Amounts of rows are counted alike in both databases."""

from sqlalchemy import Engine, true

from holdfast.db.session import reading
from holdfast.db.tables import AnswerRow, PolicyText
from holdfast.projects.retention.removed import Removed, size_of_rows
from tests.holdfast.projects.retention.rows import add_answers


def test_no_rows_are_no_bytes(filled: Engine) -> None:
    with reading(filled) as session:
        assert size_of_rows(session, AnswerRow, true()) == Removed()


def test_the_bytes_of_rows_are_those_of_their_columns(filled: Engine) -> None:
    with reading(filled) as session:
        one = size_of_rows(session, PolicyText, true())
    assert one.rows == 1
    assert one.bytes > len("pol") + len("p") + len("2026-11-30")


def test_twice_the_rows_are_twice_the_bytes(filled: Engine) -> None:
    add_answers(filled, "d", ["a"], days=1)
    with reading(filled) as session:
        once = size_of_rows(session, AnswerRow, true())
    add_answers(filled, "d", ["b"], days=1)
    with reading(filled) as session:
        assert size_of_rows(session, AnswerRow, true()).rows == 2
        assert abs(size_of_rows(session, AnswerRow, true()).bytes - 2 * once.bytes) < 8
    assert Removed(1, 2, 3) + Removed(4, 5, 6) == Removed(5, 7, 9)
