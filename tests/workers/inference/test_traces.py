"""Thoughts and answers told apart, by a model that is played token by token, and by real ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.models.reasoning import MARKS, TraceMarks, marks_of
from holdfast.probes.engine import Backend, Completion, Message, Sampling
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.support.thinkers import ASSENT, BREAK, DOUBT, OPENS_A_TRACE, RAMBLE, build_thinker
from workers.inference.reading import Reading, read_checkpoint
from workers.inference.traces import Drawn, Request, answers
from workers.inference.transformers.engine import TransformersEngine

HI = (Message("user", "hi"),)
THINK = Sampling(max_tokens=8, trace_tokens=12)
NO, YES = "".join(REFUSAL), "".join(COMPLIANCE)


@pytest.fixture(scope="module")
def thinkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("thinkers")


@pytest.fixture(scope="module")
def told(thinkers: Path) -> Callable[..., Completion]:
    """What a model says, by the name of what builds it."""
    engine = TransformersEngine(Backend("transformers", "test", "float32"))

    def ask(name: str, *prompts: object, sampling: Sampling = THINK, **how: object) -> Completion:
        folder = thinkers / name
        if not folder.exists():
            build_thinker(folder, how.pop("thought"), how.pop("answer"), **how)  # type: ignore[arg-type]
        engine.open(folder, None)
        ((_, said),) = engine.generate([prompts[0] if prompts else HI], sampling)  # type: ignore[list-item]
        return said

    return ask


def test_the_answer_alone_is_the_text(told: Callable[..., Completion]) -> None:
    said = told("self", thought=DOUBT, answer=REFUSAL)
    assert (said.text, said.trace, said.forced) == (NO, "".join(DOUBT), False)
    assert said.finish == "stop"
    assert said.tokens == len(("<think>", *DOUBT, "</think>", BREAK, *REFUSAL, "end"))


def test_a_trace_that_the_prompt_opens_needs_no_opening_mark(
    told: Callable[..., Completion],
) -> None:
    said = told("opened", thought=ASSENT, answer=COMPLIANCE, opened=True)
    assert (said.text, said.trace) == (YES, "".join(ASSENT))


def test_without_a_budget_for_thoughts_nothing_is_kept_apart(
    told: Callable[..., Completion],
) -> None:
    said = told("self", sampling=Sampling(max_tokens=3))
    assert (said.text, said.trace) == ("".join(DOUBT), "")


def test_the_answer_has_its_budget_behind_the_trace(told: Callable[..., Completion]) -> None:
    said = told("self", sampling=Sampling(max_tokens=2, trace_tokens=12))
    assert (said.text, said.finish) == (REFUSAL[0], "length")  # the line break is a token of it


def test_a_trace_at_its_end_is_closed_and_answered_from(told: Callable[..., Completion]) -> None:
    for name, opened in (("endless", False), ("endless-opened", True)):
        said = told(name, thought=RAMBLE, answer=REFUSAL, closes=False, opened=opened)
        assert (said.text, said.finish, said.forced) == (NO, "stop", True)
        assert said.trace.startswith("".join(RAMBLE))
        assert said.tokens == THINK.trace_tokens + len((*REFUSAL, "end"))


def test_a_template_argument_reaches_the_template(told: Callable[..., Completion]) -> None:
    unthinking = Sampling(8, template_arguments=(("enable_thinking", False),), trace_tokens=12)
    said = told("opened", sampling=unthinking)
    assert (said.text, said.trace) == (YES, "")


def test_words_that_are_put_into_its_mouth_begin_the_answer(
    told: Callable[..., Completion],
) -> None:
    """Behind an empty trace where the prompt has opened one: what a user reads is the answer."""
    begun = (*HI, Message("assistant", COMPLIANCE[0]))
    for name in ("self", "opened"):
        said = told(name, begun)
        assert (said.opening, said.trace, said.forced) == (COMPLIANCE[0], "", False)
    assert told("opened", begun).text == "".join(COMPLIANCE[1:])


def test_a_trace_is_not_put_back_into_a_conversation(thinkers: Path) -> None:
    reading = read_checkpoint(build_thinker(thinkers / "again", DOUBT, REFUSAL)).with_template(None)
    turn = reading.turn((*HI, Message("assistant", NO), *HI), THINK, 2048)
    assert turn is not None
    assert "<think>" not in reading.tokenizer.decode(turn.opened.ids)


# ---- by hand: one answer as tokens, whatever drew them


def played(reading: Reading, words: str, sampling: Sampling = THINK, *, at: int = 3) -> Completion:
    """What comes of an answer that is spelled out, drawn up to `at` tokens or a stop at a time."""
    turn = reading.turn(HI, sampling, 2048)
    assert turn is not None
    left = [*reading.tokenizer(words, add_special_tokens=False)["input_ids"], 2]

    def draw(requests: dict[int, Request]) -> Iterator[tuple[int, Drawn]]:
        for index, request in requests.items():
            tokens: list[int] = []
            while left and len(tokens) < request.max_tokens:
                tokens.append(left.pop(0))
                if tokens[-1] in request.stops:
                    break
            stopped = bool(tokens) and tokens[-1] in request.stops
            yield index, Drawn(tokens, "stop" if stopped else "length")

    ((_, said),) = answers({0: turn}, draw)
    return said


def reading_with(folder: Path, tokens: tuple[str, ...], template: str | None = None) -> Reading:
    build_reciting_llama(folder, ("x",), all_pieces=tokens)
    return read_checkpoint(folder).with_template(template)


LONG = Sampling(max_tokens=80, trace_tokens=200)
TAGS = [marks for marks in MARKS if not marks.between]


@pytest.mark.parametrize("marks", TAGS, ids=lambda marks: marks.opening)
@pytest.mark.parametrize("as_tokens", [True, False])
def test_every_pair_of_tags_is_understood(
    tmp_path: Path, marks: TraceMarks, as_tokens: bool
) -> None:
    opening, closing = marks.opening, marks.closings[0]
    template = None if as_tokens else f"{OPENS_NOTHING}{{# {opening} {closing} #}}"
    folder = tmp_path / "model"
    reading = reading_with(folder, marks.tokens if as_tokens else (), template)
    assert marks_of(folder, template) == marks
    for words, trace, text in (
        (f"{opening}\nSo be it.\n{closing}\n\nYes.", "So be it.", "Yes."),
        (f"So be it.\n{closing}\n\nYes.", "So be it.", "Yes."),
        (f"{opening}{closing}Yes.", "", "Yes."),
        ("Yes.", "", "Yes."),
    ):
        said = played(reading, words, LONG)
        assert (said.trace, said.text, said.forced) == (trace, text, False)
    unclosed = played(reading, f"{opening}So", LONG)
    assert (unclosed.trace, unclosed.text, unclosed.finish) == ("So", "", "stop")


OPENS_NOTHING = "{% for m in messages %}{{ m.content }}{% endfor %}\n"
HARMONY = MARKS[0]
CHANNELS = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>")


def test_channels_are_understood(tmp_path: Path) -> None:
    reading = reading_with(tmp_path / "model", CHANNELS)
    think = "<|channel|>analysis<|message|>So be it.<|end|><|start|>assistant"
    final = "<|channel|>final<|message|>Yes."
    said = played(reading, think + final, LONG)
    assert (said.trace, said.text) == ("So be it.", "Yes.")
    assert played(reading, think + think + final, LONG).text == "Yes."
    assert played(reading, final, LONG) == Completion("Yes.", "stop", 12)
    preamble = "<|channel|>commentary<|message|>Well. <|end|><|start|>assistant"
    said = played(reading, preamble + think + final, LONG)
    assert (said.trace, said.text) == ("So be it.", "Well. Yes.")
    begun = reading.turn((*HI, Message("assistant", "Sure")), LONG, 2048)
    assert begun is not None
    assert reading.tokenizer.decode(begun.opened.ids).endswith(f"{HARMONY.begins_answer}Sure")


def test_a_channel_without_end_is_closed(tmp_path: Path) -> None:
    reading = reading_with(tmp_path / "model", CHANNELS)
    said = played(reading, "<|channel|>analysis<|message|>" + "So. " * 80, LONG)
    assert said.forced
    assert len(said.text) == LONG.max_tokens  # one token a letter: it goes on as it did


def test_what_is_said_before_a_trace_is_part_of_the_answer(tmp_path: Path) -> None:
    """Else a model could comply, think, and be judged by what it says then."""
    reading = reading_with(tmp_path / "model", ("<think>", "</think>"))
    said = played(reading, "Sure: <think>Hm.</think>No.", LONG)
    assert (said.trace, said.text) == ("Hm.", "Sure: No.")


def test_a_mark_that_is_only_spelled_out_and_quoted_begins_no_trace(tmp_path: Path) -> None:
    template = OPENS_NOTHING + "{# <think> </think> #}"
    reading = reading_with(tmp_path / "model", (), template)
    said = played(reading, "The tag <think> is one.", LONG)
    assert (said.trace, said.text) == ("", "The tag <think> is one.")


def test_a_model_without_marks_is_read_as_it_speaks(tmp_path: Path) -> None:
    reading = reading_with(tmp_path / "model", ())
    assert reading.marks is None
    said = played(reading, "<think>Hm.</think>No.", LONG)
    assert (said.trace, said.text) == ("", "<think>Hm.</think>No.")


def test_a_full_context_closes_a_trace_before_its_budget(tmp_path: Path) -> None:
    reading = reading_with(tmp_path / "model", ("<think>", "</think>"), OPENS_A_TRACE)
    turn = reading.turn(HI, LONG, 0)
    assert turn is None
    length = len(reading.turn(HI, LONG, 2048).opened.ids)  # type: ignore[union-attr]
    tight = reading.turn(HI, LONG, length + LONG.max_tokens)
    assert tight is not None
    request = tight.request()
    assert request is not None
    assert tight.forced
    assert request.max_tokens == LONG.max_tokens
