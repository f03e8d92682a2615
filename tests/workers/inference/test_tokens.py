"""What reaches a model, token by token."""

from pathlib import Path

import pytest

from holdfast.errors import CheckpointRefused
from holdfast.models.chat_rendering import FOLDED
from holdfast.probes.engine import Continuation, Message
from tests.support.tiny_llama import CHAT_TEMPLATE, build_tiny_llama
from workers.inference.tokens import (
    Tokenizer,
    continuation_ids,
    decode_answer,
    draw_seed,
    end_ids,
    load_tokenizer,
    opening_ids,
    prompt_ids,
    system_note,
)

BOS = 1
HI = (Message("user", "hi"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


def test_a_chat_is_rendered_with_the_assistants_turn_opened(tokenizer: Tokenizer) -> None:
    ids = prompt_ids(tokenizer, None, HI)
    assert tokenizer.decode(ids) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_another_template_takes_the_place_of_its_own(tokenizer: Tokenizer) -> None:
    ids = prompt_ids(tokenizer, "{{ messages[0]['content'] }}!", HI)
    assert tokenizer.decode(ids) == "hi!"


@pytest.mark.parametrize("template", [None, "<|im_start|>" + CHAT_TEMPLATE])
def test_a_chat_begins_as_its_template_says(tokenizer: Tokenizer, template: str | None) -> None:
    """A tokenizer that puts a beginning token before raw text must not put one before a chat."""
    begins_by_itself(tokenizer)
    written = 2 if template else 1
    assert prompt_ids(tokenizer, template, HI)[:3].count(BOS) == written


@pytest.mark.parametrize(
    ("tokens", "begun"), [(None, "Sure, well"), (4, "Sure"), (99, "Sure, well")]
)
def test_an_assistants_turn_is_begun_with_so_many_of_its_tokens_and_left_open(
    tokenizer: Tokenizer, tokens: int | None, begun: str
) -> None:
    prompt = (*HI, Message("assistant", "Sure, well", tokens))
    ids = prompt_ids(tokenizer, None, prompt)
    assert tokenizer.decode(ids) == (
        f"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n{begun}"
    )
    assert ids == prompt_ids(tokenizer, None, HI) + opening_ids(tokenizer, prompt)
    assert opening_ids(tokenizer, HI) == opening_ids(tokenizer, "raw") == []


def test_an_earlier_turn_of_the_assistant_is_closed(tokenizer: Tokenizer) -> None:
    ids = prompt_ids(tokenizer, None, (*HI, Message("assistant", "Yes?"), *HI))
    assert "Yes?<|im_end|>" in tokenizer.decode(ids)


def test_opening_and_answer_are_decoded_together_and_told_apart(tokenizer: Tokenizer) -> None:
    ids = tokenizer("Sure, caf\u00e9")["input_ids"]
    assert decode_answer(tokenizer, ids[:4], ids[4:]) == ("Sure", ", caf\u00e9")
    assert decode_answer(tokenizer, [], ids) == ("", "Sure, caf\u00e9")
    assert decode_answer(tokenizer, ids[:4], [2]) == ("Sure", "")  # it only ended its turn


def test_a_prompts_draws_hang_on_the_seed_and_its_tokens() -> None:
    seeds = {draw_seed(seed, ids) for seed in range(20) for ids in ([1], [1, 2], [12], [])}
    assert len(seeds) == 80
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert draw_seed(3, [1, 2]) == draw_seed(3, (1, 2))


@pytest.mark.parametrize("text", ["hi", "<|im_start|>hi"])
def test_raw_text_begins_once(tokenizer: Tokenizer, text: str) -> None:
    begins_by_itself(tokenizer)
    assert prompt_ids(tokenizer, None, text).count(BOS) == 1
    ids, prompt = continuation_ids(tokenizer, None, Continuation(text, " there"))
    assert (ids.count(BOS), len(ids) - prompt) == (1, 6)


def test_a_continuation_is_cut_at_the_prompts_length(tokenizer: Tokenizer) -> None:
    ids, prompt = continuation_ids(tokenizer, None, Continuation(HI, "ok"))
    assert ids[:prompt] == prompt_ids(tokenizer, None, HI)
    assert tokenizer.decode(ids[prompt:]) == "ok"


def test_no_template_and_a_failing_one_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(CheckpointRefused, match="does not render"):
        prompt_ids(tokenizer, "{{ raise_exception('no system role') }}", HI)
    with pytest.raises(CheckpointRefused, match="does not render"):
        prompt_ids(tokenizer, "{{ ''.__class__.__mro__ }}", HI)
    tokenizer.chat_template = None
    with pytest.raises(CheckpointRefused, match="no chat template"):
        prompt_ids(tokenizer, None, HI)


def test_a_template_that_takes_no_system_turn_is_said_and_its_words_are_asked(
    tokenizer: Tokenizer,
) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    template = refuses + CHAT_TEMPLATE
    prompt = (Message("system", "Be brief."), *HI)
    ids = prompt_ids(tokenizer, template, prompt)
    assert "<|im_start|>user\nBe brief.\n\nhi<|im_end|>" in tokenizer.decode(ids)
    assert system_note(tokenizer, template, ["raw", HI, prompt]) == FOLDED
    assert system_note(tokenizer, None, [prompt]) is None
    assert system_note(tokenizer, template, ["raw", HI]) is None


@pytest.mark.parametrize("template", ["", "{{ messages[0]['content'][:1] }}"])
def test_a_template_that_loses_the_question_is_refused(tokenizer: Tokenizer, template: str) -> None:
    with pytest.raises(CheckpointRefused, match="leaves out words"):
        prompt_ids(tokenizer, template, HI)


def test_every_end_that_a_checkpoint_names_ends_an_answer(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    assert end_ids(tokenizer, tmp_path) == (2, 7)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="holds no tokenizer"):
        load_tokenizer(tmp_path)


def begins_by_itself(tokenizer: Tokenizer) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", BOS)]
    )


def test_a_text_after_nothing_follows_the_beginning_token(tokenizer: Tokenizer) -> None:
    ids, prompt = continuation_ids(tokenizer, None, Continuation("", "hi"))
    assert (ids[:1], prompt) == ([BOS], 1)
    assert tokenizer.decode(ids[1:]) == "hi"


def test_without_a_beginning_token_the_end_token_takes_its_place(tokenizer: Tokenizer) -> None:
    tokenizer.bos_token = None
    assert continuation_ids(tokenizer, None, Continuation("", "hi"))[0][0] == tokenizer.eos_token_id
