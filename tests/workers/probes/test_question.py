"""Questions and answers as the cache sees them."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine import Completion, Continuation, Message, Sampling, Score
from workers.inference.scripted import ScriptedEngine
from workers.probes.question import Answer, Generate, Question, ask, chat

replies = st.one_of(
    st.builds(Completion, st.text(), st.sampled_from(["stop", "length", "nan"]), st.integers(0)),
    st.builds(Score, st.floats(max_value=0, allow_nan=False), st.integers(0)),
)


@given(st.lists(replies).map(tuple))
def test_an_answer_survives_strict_json(kept: tuple[Completion | Score, ...]) -> None:
    line = json.dumps(Answer(kept).to_json(), allow_nan=False)
    found = Answer.from_json(json.loads(line)).replies
    for before, after in zip(kept, found, strict=True):
        if isinstance(before, Score) and math.isinf(before.logprob):
            assert isinstance(after, Score)
            assert math.isnan(after.logprob)
        else:
            assert after == before


def test_a_fingerprint_covers_what_reaches_the_model_and_nothing_else() -> None:
    asked = Question("a", "a", (Generate(chat("hi"), 48),))
    same = Question("b", "c", asked.asks, group="g", variant="v", expected=1)
    assert asked.fingerprint() == same.fingerprint()
    others = [
        (Generate(chat("hi "), 48),),
        (Generate(chat("hi"), 49),),
        (Generate("hi", 48),),
        (Generate((Message("system", "hi"),), 48),),
        (Continuation(chat("hi"), ""),),
        (Generate(chat("hi"), 48), Generate(chat("hi"), 48)),
    ]
    prints = {Question("a", "a", asks).fingerprint() for asks in others}
    assert len(prints) == len(others)
    assert asked.fingerprint() not in prints


def test_an_answer_comes_as_soon_as_its_last_reply_is_in(tmp_path: Path) -> None:
    (tmp_path / "scripted.json").write_text('{"behaviour": "echo"}')
    engine = ScriptedEngine()
    engine.open(tmp_path, None)
    questions = [
        Question("long", "c", (Generate("a b c d", 3),)),
        Question("choice", "c", (Continuation("p", " x"), Continuation("p", " x y"))),
        Question("short", "c", (Generate("a b c d", 1),)),
    ]
    stream = ask(engine, questions, Sampling(99))
    found = {question.item: answer for question, answer in stream}
    assert found["long"].text == "a b c"
    assert found["short"].text == "a"
    assert [score.tokens for score in found["choice"].scores] == [1, 2]


class Backwards(ScriptedEngine):
    """Answers in the opposite order, as an engine may."""

    def generate(
        self, prompts: Sequence[object], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        for index in reversed(range(len(prompts))):
            yield index, Completion(str(prompts[index]), "stop", 1)


def test_replies_find_their_place_whatever_the_order() -> None:
    questions = [Question(str(n), "c", (Generate(f"{n}a", 9), Generate(f"{n}b", 9))) for n in "12"]
    found = list(ask(Backwards(), questions, Sampling(9)))
    assert [question.item for question, _ in found] == ["2", "1"]
    assert [
        [r.text for r in answer.replies if isinstance(r, Completion)] for _, answer in found
    ] == [
        ["2a", "2b"],
        ["1a", "1b"],
    ]


def test_an_answer_of_scores_has_no_text() -> None:
    with pytest.raises(TypeError, match="expected one completion"):
        _ = Answer((Score(-1.0, 1),)).text
