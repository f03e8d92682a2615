"""What reaches a model, token by token."""

from pathlib import Path

import pytest

from holdfast.errors import CheckpointRefused
from tests.support.tiny_llama import CHAT_TEMPLATE, build_tiny_llama
from workers.engine import Continuation, Message
from workers.inference.tokens import (
    Tokenizer,
    continuation_ids,
    end_ids,
    load_tokenizer,
    prompt_ids,
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


def test_every_end_that_a_checkpoint_names_ends_an_answer(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    assert end_ids(tokenizer, tmp_path) == (2, 7)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="tokenizer does not load"):
        load_tokenizer(tmp_path)


def begins_by_itself(tokenizer: Tokenizer) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", BOS)]
    )
