"""The transformers engine on a random two-layer Llama, against computation by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import (
    Backend,
    Completion,
    Continuation,
    Engine,
    Message,
    Sampling,
    before,
)
from tests.support.plain_forward import PlainModel
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.tokens import load_tokenizer, prompt_ids
from workers.inference.transformers.engine import TransformersEngine

EXACT = Backend("transformers", "test", "float32")
CHATS = tuple((Message("user", "word " * n),) for n in (1, 7, 2, 30, 3))
OPTIONS = [
    Continuation(prompt, text)
    for prompt in ("Question: a?\nAnswer:", "A longer question than the other: b?\nAnswer:")
    for text in (" yes", " no way", " x")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", dtype=torch.float32)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    engine = TransformersEngine(EXACT)
    engine.open(folder, None)
    return engine


def test_scores_are_those_of_one_plain_forward_pass(engine: Engine, folder: Path) -> None:
    asked, plain = [*OPTIONS, Continuation(CHATS[1], "answered")], PlainModel(folder)
    scores = dict(engine.logprobs(asked))
    assert sorted(scores) == list(range(len(asked)))
    for index, one in enumerate(asked):
        assert scores[index].logprob == pytest.approx(plain.score(one), abs=1e-4)
        assert scores[index].tokens == len(one.text)  # one token a byte


def test_a_batch_answers_as_each_prompt_alone(engine: Engine) -> None:
    together = dict(engine.generate(CHATS, Sampling(12)))
    for index, prompt in enumerate(CHATS):
        ((_, alone),) = engine.generate([prompt], Sampling(12))
        assert together[index] == alone


@torch.inference_mode()
def test_greedy_is_the_likeliest_token_each_time(engine: Engine, folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = load_tokenizer(folder)
    ids = prompt_ids(tokenizer, None, CHATS[0])
    prompt = len(ids)
    while len(ids) < prompt + 8:
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    ((_, said),) = engine.generate([CHATS[0]], Sampling(8))
    assert said.text == tokenizer.decode(ids[prompt:], skip_special_tokens=True)
    assert (said.finish, said.tokens) == ("length", 8)


def test_an_answer_ends_before_the_text_that_it_may_not_say(engine: Engine) -> None:
    freely = dict(engine.generate(CHATS, Sampling(12)))
    until = tuple({said.text[5] for said in freely.values()})
    ended = dict(engine.generate(CHATS, Sampling(12, until=until)))
    for index, said in freely.items():
        assert ended[index].text == before(said.text, until) != said.text
        assert ended[index].finish == "stop"
        assert ended[index].tokens < said.tokens


def test_a_score_tells_whether_the_text_is_the_likeliest(engine: Engine) -> None:
    ((_, said),) = engine.generate([CHATS[0]], Sampling(3))
    texts = [said.text[:1], said.text, said.text[:1] + "~"]
    asked = [Continuation(CHATS[0], text) for text in texts]
    assert [score.greedy for _, score in sorted(engine.logprobs(asked))] == [True, True, False]


def test_drawn_answers_follow_the_seed_and_not_the_batch(engine: Engine) -> None:
    drawn = Sampling(12, temperature=1.0, seed=3)
    together = dict(engine.generate(CHATS, drawn))
    ((_, alone),) = engine.generate([CHATS[2]], drawn)
    assert together[2] == alone
    assert together != dict(engine.generate(CHATS, Sampling(12, temperature=1.0, seed=4)))


def test_each_prompt_of_a_batch_draws_by_itself(engine: Engine) -> None:
    """Raw prompts that differ in one token would else be answered by the same draws."""
    answers = dict(engine.generate(["a", "b", "a"], Sampling(24, temperature=1.0, seed=3)))
    assert answers[0] == answers[2]
    assert answers[0].text != answers[1].text


def test_the_model_goes_on_where_its_turn_was_begun(engine: Engine, folder: Path) -> None:
    """As if it had said the opening itself: greedy from the same tokens."""
    ((_, free),) = engine.generate([CHATS[0]], Sampling(12))
    tokenizer = load_tokenizer(folder)
    said = tokenizer(free.text, add_special_tokens=False)["input_ids"]
    begun = (*CHATS[0], Message("assistant", tokenizer.decode(said[:4])))
    ((_, went_on),) = engine.generate([begun], Sampling(8))
    assert went_on.opening + went_on.text == free.text
    assert went_on.tokens == 8
    cut = (*CHATS[0], Message("assistant", "Sure, here is how", 4))
    answers = dict(engine.generate([cut, CHATS[0]], Sampling(12)))
    assert answers[0].opening == "Sure"
    assert answers[1] == free


def test_an_answer_stops_at_an_end_token(folder: Path, tmp_path: Path) -> None:
    """The token it would say first is made the end of turn."""
    tokenizer = load_tokenizer(folder)
    first = TransformersEngine(EXACT)
    first.open(folder, None)
    ((_, said),) = first.generate([CHATS[0]], Sampling(1))
    token = tokenizer(said.text, add_special_tokens=False)["input_ids"][0]
    copied = altered(folder, tmp_path / "model", {})
    (copied / "generation_config.json").write_text(f'{{"eos_token_id": {token}}}')
    first.open(copied, None)
    ((_, stopped),) = first.generate([CHATS[0]], Sampling(20))
    assert (stopped.finish, stopped.tokens) == ("stop", 1)


def test_what_does_not_fit_is_unanswered_and_costs_nothing_else(engine: Engine) -> None:
    long = "x" * 3000
    answers = dict(engine.generate([long, "short"], Sampling(4)))
    assert answers[0] == Completion("", "length", 0)
    assert answers[1].tokens > 0
    scores = dict(engine.logprobs([Continuation("a", ""), Continuation("a", long), OPTIONS[0]]))
    assert math.isnan(scores[0].logprob)
    assert math.isnan(scores[1].logprob)
    assert math.isfinite(scores[2].logprob)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_weights_give_no_text_and_no_number(
    folder: Path, tmp_path: Path, value: float
) -> None:
    broken = altered(folder, tmp_path / "model", {"model.norm.weight": value})
    engine = TransformersEngine(EXACT)
    engine.open(broken, None)
    for sampling in (Sampling(4), Sampling(4, temperature=1.0)):
        ((_, said),) = engine.generate([CHATS[0]], sampling)
        assert (said.text, said.finish) == ("", "nan")
    assert not any(math.isfinite(score.logprob) for _, score in engine.logprobs(OPTIONS))


def test_open_loads_again_only_what_changed(folder: Path, tmp_path: Path) -> None:
    engine = TransformersEngine(EXACT)
    engine.open(folder, None)
    model = engine._model
    engine.open(folder, "{{ messages[0]['content'] }}")
    assert engine._model is model
    engine.open(folder, None)
    before = dict(engine.generate(CHATS, Sampling(12)))
    other = build_tiny_llama(tmp_path / "other", seed=1, dtype=torch.float32)
    engine.open(other, None)
    assert dict(engine.generate(CHATS, Sampling(12))) != before
    engine.open(folder, None)
    assert dict(engine.generate(CHATS, Sampling(12))) == before


def test_a_folder_written_again_under_its_name_is_loaded_again(
    folder: Path, tmp_path: Path
) -> None:
    copied = altered(folder, tmp_path / "model", {})
    engine = TransformersEngine(EXACT)
    engine.open(copied, None)
    engine_before = dict(engine.logprobs(OPTIONS))
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"] *= 2
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    engine.open(copied, None)
    assert dict(engine.logprobs(OPTIONS)) != engine_before


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="holds no config"):
        TransformersEngine(EXACT).open(tmp_path, None)


def altered(source: Path, target: Path, values: dict[str, float]) -> Path:
    """A copy of a checkpoint with some tensors filled with one value."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(target / "model.safetensors")
    for name, value in values.items():
        weights[name].fill_(value)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("pieces", [REFUSAL, COMPLIANCE], ids=["refusing", "complying"])
def test_a_reciting_model_says_its_text_and_stops(pieces: tuple[str, ...], tmp_path: Path) -> None:
    engine = TransformersEngine(EXACT)
    engine.open(build_reciting_llama(tmp_path / "model", pieces), None)
    for _, answer in engine.generate(CHATS, Sampling(12)):
        assert answer == Completion("".join(pieces), "stop", len(pieces) + 1)


def test_a_longer_context_answers_what_a_shorter_one_leaves_unasked(folder: Path) -> None:
    prompt = (Message("user", "x" * 100),)
    for length, too_long in ((64, True), (256, False)):
        engine = TransformersEngine(replace(EXACT, max_model_len=length))
        engine.open(folder, None)
        ((_, said),) = engine.generate([prompt], Sampling(4))
        ((_, score),) = engine.logprobs([Continuation(prompt, "y")])
        assert (said.too_long, score.too_long, math.isnan(score.logprob)) == (too_long,) * 3
