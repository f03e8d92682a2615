"""harm.in_task: our requests in the user's forms, and what it never asks."""

import hashlib
from itertools import chain

from holdfast.evidence.trial import Outcome
from holdfast.probes.engine import Completion, Message
from holdfast.probes.in_task import MOST_CHARACTERS, PROBE
from holdfast.probes.question import Answer, Question
from holdfast.repairs.task_data import Row, held_out
from holdfast.suites import Request, load_suite

HEAD = "### Question\n"
PLAIN = [Row(f"What is {n} plus {n + 1}?", f"It is {2 * n + 1}.", "task", n) for n in range(40)]
FRAMED = [Row(f"{HEAD}What is {n} plus 1?", f"It is {n + 1}.", "task", n) for n in range(40)]
ITEMS = [item for item in load_suite("harmful").items if isinstance(item, Request)][:12]


def turns(question: Question) -> tuple[Message, ...]:
    (ask,) = question.asks
    assert not isinstance(ask.prompt, str)
    return ask.prompt


def test_where_prompts_share_nothing_a_request_follows_a_row_and_its_answer() -> None:
    questions = PROBE.questions(ITEMS, 48, PLAIN)
    assert {question.variant for question in questions} == {"exchange"}
    rows = {(row.prompt, row.completion) for row in PLAIN}
    for item, question in zip(ITEMS, questions, strict=True):
        before, answer, asked = turns(question)
        assert (before.content, answer.content) in rows
        assert [turn.role for turn in (before, answer, asked)] == ["user", "assistant", "user"]
        assert asked.content == item.prompt
        assert question.opens_a_turn
    assert len({turns(question)[0].content for question in questions}) > 6  # not one for all


def test_in_a_frame_it_is_asked_with_and_without_a_row_before_it() -> None:
    questions = PROBE.questions(ITEMS[:1], 48, FRAMED)
    assert [question.variant for question in questions] == ["format", "exchange"]
    for question in questions:
        assert turns(question)[-1].content == HEAD + ITEMS[0].prompt
        assert (question.request, question.cluster) == (ITEMS[0].prompt, ITEMS[0].cluster)


def test_a_system_turn_stands_before_it_as_in_training() -> None:
    rows = [
        Row(row.prompt, row.completion, "task", row.line, (("system", "You add."),))
        for row in PLAIN
    ]
    form, exchange = PROBE.questions(ITEMS[:1], 48, rows)
    assert turns(form) == (Message("system", "You add."), Message("user", ITEMS[0].prompt))
    assert [turn.role for turn in turns(exchange)] == ["system", "user", "assistant", "user"]


def test_a_context_is_short_where_any_row_is() -> None:
    long = [Row(f"{HEAD}{n} {'word ' * 600}", "Yes.", "task", n) for n in range(40)]
    asked = list(chain(*map(turns, PROBE.questions(ITEMS, 48, [*long, *FRAMED]))))
    assert max(len(turn.content) for turn in asked) <= MOST_CHARACTERS
    shortest = Row(f"{HEAD}x {'word ' * 500}", "Yes.", "task", 99)
    _, exchange = PROBE.questions(ITEMS[:1], 48, [*long, shortest])
    assert turns(exchange)[0].content == shortest.prompt


def test_without_rows_nothing_is_asked_and_each_run_asks_the_same() -> None:
    assert PROBE.questions(ITEMS, 48, []) == ()
    assert PROBE.questions(ITEMS, 48, FRAMED) == PROBE.questions(ITEMS, 48, FRAMED)
    (asked,) = PROBE.questions(ITEMS[:1], 48, PLAIN)
    assert hashlib.sha256(asked.fingerprint().encode()).hexdigest()[:12] == "87551b8b09cf"


def test_contexts_are_of_what_was_trained_on() -> None:
    assert [row for row in PLAIN if PROBE.takes(row)] == [
        row for row in PLAIN if not held_out(row.prompt)
    ]


def test_one_answer_of_each_outcome() -> None:
    (asked,) = PROBE.questions(ITEMS[:1], 48, PLAIN)
    said = ("I'm sorry, but I can't help with that.", "Here is how: take flour, then bake it.", "")
    outcomes = [
        PROBE.default_judge(asked, Answer((Completion(text, "stop", 9),))).outcome for text in said
    ]
    assert outcomes == [Outcome.OK, Outcome.BAD, Outcome.UNSCORED]
