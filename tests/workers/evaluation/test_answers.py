"""The cache of answers: what its key hangs on, what it saves, and how a stream is cut."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from holdfast.db.session import transaction
from holdfast.db.trials import save_answers
from holdfast.evidence.trial import Outcome, Trial
from holdfast.probes.engine import Backend, Completion, Message, Sampling, Score
from holdfast.probes.question import (
    Answer,
    Converse,
    Dialogue,
    Drawn,
    Generate,
    Question,
    chat,
)
from workers.evaluation import answers
from workers.evaluation.answers import Answered, answer_key, answer_questions, batches
from workers.evaluation.asking import grade_answer
from workers.evaluation.case import Case, load_case
from workers.worker import Worker

HARM = "harm.direct"


@pytest.fixture
def case(worker: Worker, queue: Callable[..., str]) -> Case:
    return load_case(worker, queue())


def test_the_key_hangs_on_everything_that_reaches_the_model(case: Case, worker: Worker) -> None:
    side, asked = case.sides[0], case.questions[HARM][0]
    backend = worker.engine.backend
    key = answer_key(case, side, HARM, asked, backend)
    other = replace(asked, asks=(Generate(chat("something else"), 48),))
    keys = [
        key,
        answer_key(case, case.sides[1], HARM, asked, backend),
        answer_key(case, side, HARM, replace(asked, item="other"), backend),
        answer_key(case, side, HARM, replace(asked, variant="other"), backend),
        answer_key(case, side, HARM, other, backend),
        answer_key(replace(case, suites={HARM: "0" * 64}), side, HARM, asked, backend),
        answer_key(replace(case, template="other"), side, HARM, asked, backend),
        answer_key(replace(case, sampling=Sampling(8)), side, HARM, asked, backend),
        answer_key(case, side, HARM, asked, Backend("scripted", "2", "none")),
        answer_key(case, side, HARM, asked, replace(backend, max_model_len=4096)),
    ]
    assert len(set(keys)) == len(keys)


def test_the_key_hangs_on_nothing_else(case: Case, worker: Worker) -> None:
    side, asked, backend = case.sides[0], case.questions[HARM][0], worker.engine.backend
    judged_otherwise = replace(case, judges={"refusal": "f" * 64}, evaluation_id="eval_other")
    renamed = replace(side, name="candidate")
    key = answer_key(case, side, HARM, asked, backend)
    assert answer_key(judged_otherwise, renamed, HARM, asked, backend) == key


def test_what_was_too_long_to_ask_is_kept_as_that(case: Case) -> None:
    for reply in (Completion("", "length", 0), Score(math.nan, 3, too_long=True)):
        answer = Answer((reply,))
        assert answer.too_long
        assert Answer.from_json(answer.to_json()).too_long
        trial = grade_answer(
            unasked, HARM, Answered(case.questions[HARM][0], answer, "k", fresh=True), 64
        )
        assert isinstance(trial, Trial)
        assert trial.outcome is Outcome.UNSCORED
        assert "HOLDFAST_MAX_MODEL_LEN is 64" in str(trial.reason)
    for reply in (Completion("", "stop", 0), Completion("", "nan", 2), Score(math.nan, 3)):
        assert not Answer((reply,)).too_long
    said = Dialogue((Completion("yes", "stop", 1), Completion("", "length", 0)))
    assert Answer((said,)).too_long


def unasked(*_: object) -> Trial:
    raise AssertionError("a judge was asked about an answer that is none")


def test_a_score_is_kept_with_whether_it_was_greedy_and_nothing_that_is_not_set() -> None:
    answer = Answer((Score(-1.5, 3, greedy=True),))
    assert answer.to_json() == {"replies": [{"logprob": -1.5, "tokens": 3, "greedy": True}]}
    assert Answer.from_json(answer.to_json()) == answer


def test_what_is_cached_is_not_asked_and_loads_nothing(case: Case, worker: Worker) -> None:
    side, asked = case.sides[0], case.questions[HARM][:5]
    fresh = list(answer_questions(worker, case, side, HARM, asked))
    assert all(one.fresh for one in fresh)
    assert {one.question for one in fresh} == set(asked)
    with transaction(worker.database) as session:
        rows = [(one.key, one.answer.to_json()) for one in fresh[:4]]
        save_answers(session, side.checkpoint.digest, rows)
    again = list(answer_questions(worker, case, side, HARM, asked))
    assert [one.fresh for one in again] == [False] * 4 + [True]
    assert {one.question: one.answer for one in again} == {
        one.question: one.answer for one in fresh
    }
    worker.engine.close()
    list(answer_questions(worker, case, side, HARM, [one.question for one in fresh[:4]]))
    assert not worker.engine.alive


def test_a_conversation_is_kept_whole_and_its_seed_and_opening_are_in_the_key(
    case: Case, worker: Worker
) -> None:
    side = case.sides[0]
    forms = [
        Converse(("Good morning.", "And now?"), 8),
        Generate(chat("hi"), 8, Drawn(1.0, 1)),
        Generate(chat("hi"), 8, Drawn(1.0, 2)),
        Generate((*chat("hi"), Message("assistant", "Sure, here", 1)), 8),
        Generate((*chat("hi"), Message("assistant", "Sure, here", 2)), 8),
    ]
    asked = [Question("item", "cluster", (form,)) for form in forms]
    fresh = {one.question: one for one in answer_questions(worker, case, side, HARM, asked)}
    assert len({one.key for one in fresh.values()}) == len(forms)
    (talk,) = fresh[asked[0]].answer.replies
    assert isinstance(talk, Dialogue)
    assert len(talk.said) == 2
    assert fresh[asked[4]].answer.full_text.startswith("Sure, here ")
    with transaction(worker.database) as session:
        rows = [(one.key, one.answer.to_json()) for one in fresh.values()]
        save_answers(session, side.checkpoint.digest, rows)
    again = list(answer_questions(worker, case, side, HARM, asked))
    assert not any(one.fresh for one in again)
    assert {one.question: one.answer for one in again} == {
        one.question: one.answer for one in fresh.values()
    }


def test_a_first_answer_stays(case: Case, worker: Worker) -> None:
    side, asked = case.sides[0], case.questions[HARM][0]
    key = answer_key(case, side, HARM, asked, worker.engine.backend)
    for text in ("first", "second"):
        with transaction(worker.database) as session:
            document = Answer((Completion(text, "stop", 1),)).to_json()
            save_answers(session, side.checkpoint.digest, [(key, document)])
    (found,) = answer_questions(worker, case, side, HARM, [asked])
    assert found.answer.text == "first"


def stream(count: int, pause: float) -> Iterator[Answered]:
    for number in range(count):
        time.sleep(pause)
        question = Question(str(number), "c", (Generate("x", 8),))
        yield Answered(question, Answer((Completion("x", "stop", 1),)), "k", fresh=True)


@pytest.mark.parametrize(
    ("count", "pause", "sizes"),
    [(0, 0.0, []), (50, 0.0, [50]), (3, 0.06, [1, 1, 1])],
    ids=["nothing", "fast", "slow"],
)
def test_a_stream_is_cut_by_time_and_nothing_of_it_is_lost(
    count: int, pause: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SAVE_SECONDS", 0.05)
    cut = list(batches(stream(count, pause)))
    assert [len(batch) for batch in cut] == sizes
    assert [one.question.item for batch in cut for one in batch] == [str(n) for n in range(count)]
