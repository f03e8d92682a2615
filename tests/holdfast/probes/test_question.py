"""Questions and answers as the cache sees them."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.probes.engine import Completion, Continuation, Message, Sampling, Score
from holdfast.probes.question import Answer, Converse, Dialogue, Drawn, Generate, Question, chat
from workers.evaluation.ask import ask
from workers.inference.scripted import ScriptedEngine

completions = st.builds(
    Completion,
    st.text(),
    st.sampled_from(["stop", "length", "nan"]),
    st.integers(0),
    st.text(),
    st.text(),
    st.booleans(),
)
replies = st.one_of(
    completions,
    st.builds(Dialogue, st.lists(completions, min_size=1).map(tuple)),
    st.builds(Score, st.floats(max_value=0, allow_nan=False), st.integers(0)),
)


@given(st.lists(replies).map(tuple))
def test_an_answer_survives_strict_json(kept: tuple[Completion | Dialogue | Score, ...]) -> None:
    line = json.dumps(Answer(kept).to_json(), allow_nan=False)
    found = Answer.from_json(json.loads(line)).replies
    for before, after in zip(kept, found, strict=True):
        if isinstance(before, Score) and math.isinf(before.logprob):
            assert isinstance(after, Score)
            assert math.isnan(after.logprob)
        else:
            assert after == before


def test_an_answer_without_thoughts_is_stored_as_it_was_before_there_were_any() -> None:
    said = Completion("Yes.", "stop", 2)
    assert list(said.to_json()) == ["text", "finish", "tokens", "opening"]
    assert Answer((said,)).to_json() == {"replies": [said.to_json()]}
    assert Answer((Dialogue((said,)),)).to_json() == {"replies": [{"said": [said.to_json()]}]}
    thought = Completion("Yes.", "stop", 2, trace="Well.", forced=True)
    assert thought.to_json() == {**said.to_json(), "trace": "Well.", "forced": True}


def test_sampling_survives_json() -> None:
    arguments = (("enable_thinking", False), ("reasoning_effort", "low"))
    for sampling in (
        Sampling(8),
        Sampling(8, 0.7, 3, ("\n",), arguments, 512),
    ):
        assert Sampling.from_json(json.loads(json.dumps(sampling.to_json()))) == sampling


def test_who_begins_a_turn_may_think() -> None:
    begun = (*chat("hi"), Message("assistant", "Sure"))
    for asked, opens in (
        (Generate(chat("hi"), 8), True),
        (Converse(("a", "b"), 8), True),
        (Generate("raw", 8), False),
        (Generate(begun, 8), False),
        (Continuation(chat("hi"), "x"), False),
    ):
        assert Question("a", "a", (asked,)).opens_a_turn is opens


def test_a_fingerprint_covers_what_reaches_the_model_and_nothing_else() -> None:
    asked = Question("a", "a", (Generate(chat("hi"), 48),))
    same = Question("b", "c", asked.asks, group="g", variant="v", expected=1)
    assert asked.fingerprint() == same.fingerprint()
    others = [
        (Generate(chat("hi "), 48),),
        (Generate(chat("hi"), 49),),
        (Generate("hi", 48),),
        (Generate(chat("hi"), 48, Drawn(1.0, 0)),),
        (Generate(chat("hi"), 48, Drawn(1.0, 1)),),
        (Generate((*chat("hi"), Message("assistant", "Sure", 1)), 48),),
        (Generate((*chat("hi"), Message("assistant", "Sure", 2)), 48),),
        (Converse(("hi",), 48),),
        (Converse(("hi", "and?"), 48),),
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


def test_a_fingerprint_is_the_same_for_ever() -> None:
    """Options that came later are left out where they are not used: the cache stays good."""
    asked = Question("a", "a", (Generate(chat("hi"), 48), Continuation("p", " x")))
    assert asked.fingerprint() == (
        '[{"kind":"generate","max_tokens":48,"prompt":[{"content":"hi","role":"user"}]},'
        '{"kind":"continuation","prompt":"p","text":" x"}]'
    )


class Talking(ScriptedEngine):
    """Counts its replies and keeps what it was asked, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[list[tuple[Message, ...]], Sampling]] = []

    def generate(
        self, prompts: Sequence[Any], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        self.calls.append((list(prompts), sampling))
        for index, prompt in enumerate(prompts):
            yield index, Completion(f"reply {len(prompt)} to {prompt[-1].content}", "stop", 3)


def test_a_conversation_holds_the_targets_own_replies_and_goes_in_rounds() -> None:
    engine = Talking()
    questions = [
        Question("long", "c", (Converse(("a1", "a2", "a3"), 9),)),
        Question("short", "c", (Converse(("b1", "b2"), 9),)),
    ]
    found = {question.item: answer for question, answer in ask(engine, questions, Sampling(99))}
    rounds = [[prompt[-1].content for prompt in prompts] for prompts, _ in engine.calls]
    assert rounds == [["a1", "b1"], ["a2", "b2"], ["a3"]]
    last = engine.calls[-1][0][0]
    assert [(turn.role, turn.content) for turn in last] == [
        ("user", "a1"),
        ("assistant", "reply 1 to a1"),
        ("user", "a2"),
        ("assistant", "reply 3 to a2"),
        ("user", "a3"),
    ]
    assert found["long"].text == "reply 5 to a3"
    assert found["long"].tokens == 9
    assert questions[0].prompt_text == "a3"
    (said,) = found["short"].replies
    assert isinstance(said, Dialogue)
    assert [one.text for one in said.said] == ["reply 1 to b1", "reply 3 to b2"]


def test_sampling_belongs_to_the_question() -> None:
    engine = Talking()
    drawn = [Drawn(1.0, 1), None, Drawn(1.0, 2), Drawn(0.7, 1), Drawn(1.0, 1)]
    questions = [
        Question(str(n), "c", (Generate(chat(str(n)), 9, how),)) for n, how in enumerate(drawn)
    ]
    list(ask(engine, questions, Sampling(99, seed=5)))
    calls = {
        (sampling.max_tokens, sampling.temperature, sampling.seed): [p[0].content for p in prompts]
        for prompts, sampling in engine.calls
    }
    assert calls == {
        (9, 0.0, 5): ["1"],
        (9, 0.7, 1): ["3"],
        (9, 1.0, 1): ["0", "4"],
        (9, 1.0, 2): ["2"],
    }
