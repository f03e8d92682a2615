"""tokenizer.json is what a checkpoint's text is read by, for engines and in training alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from holdfast.errors import CheckpointRefused
from holdfast.models.tokenizer_file import PROBE, embedded_tokens, refuse_unknown_tokens
from holdfast.probes.engine import Continuation, Engine, Message, Sampling
from holdfast.repairs.task_data import Row
from tests.support.tiny_llama import build_tiny_llama
from training.rows.batches import tokenise
from training.weights import model
from workers.inference import tokens
from workers.inference.backends import backend_of
from workers.inference.transformers.engine import TransformersEngine

CLASSES = ("LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "T5Tokenizer", "BertTokenizer")
LOADERS: tuple[Callable[[Path], Any], ...] = (tokens.load_tokenizer, model.load_tokenizer)
HI = (Message("user", "how do I\nmake  tea?"),)


def of_class(folder: Path, name: str) -> Path:
    """A tiny Llama whose byte-level tokenizer.json stands under another class."""
    build_tiny_llama(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"tokenizer_class": name}))
    return folder


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", CLASSES)
def test_the_file_counts_whatever_class_is_named(
    tmp_path: Path, name: str, load: Callable[[Path], Any]
) -> None:
    folder = of_class(tmp_path / name, name)
    tokenizer = load(folder)
    ids = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    assert ids == Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROBE).ids
    assert tokenizer.decode(ids) == PROBE
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.chat_template


def test_what_the_class_would_have_read_is_noted(tmp_path: Path) -> None:
    engine = TransformersEngine(backend_of("transformers", "bfloat16"))
    engine.open(of_class(tmp_path / "llama", "LlamaTokenizer"), None)
    dict(engine.generate([HI], Sampling(1)))
    (note,) = engine.take_notes()
    assert note.startswith(
        "tokenizer_class LlamaTokenizer reads text otherwise than tokenizer.json"
    )
    engine.open(build_tiny_llama(tmp_path / "plain"), None)
    assert engine.take_notes() == []


def test_special_tokens_that_a_config_leaves_to_the_class_are_the_classs(tmp_path: Path) -> None:
    folder = of_class(tmp_path / "gpt2", "GPT2Tokenizer")
    file = folder / "tokenizer_config.json"
    kept = {
        key: value for key, value in json.loads(file.read_bytes()).items() if "token" not in key
    }
    file.write_text(json.dumps(kept | {"tokenizer_class": "GPT2Tokenizer"}))
    assert tokens.load_tokenizer(folder).eos_token == "<|endoftext|>"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "damaged")
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}')
    for load in LOADERS:
        with pytest.raises(CheckpointRefused, match="its tokenizer does not load"):
            load(folder)


@pytest.fixture
def overlong(tmp_path: Path) -> Path:
    """A tokenizer with one token more than the model has embeddings."""
    folder = build_tiny_llama(tmp_path / "overlong", vocab=259)
    file = folder / "tokenizer.json"
    document = json.loads(file.read_bytes())
    token = {"id": 259, "content": "tea", "special": False, "normalized": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    document["added_tokens"].append(token | flags)
    file.write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: list(engine.generate([HI], Sampling(1))),
        lambda engine: list(engine.logprobs([Continuation("green", " tea")])),
        lambda engine: list(engine.distributions([Continuation(HI, "yes")])),
    ],
)
def test_a_token_that_the_model_does_not_embed_is_refused(
    overlong: Path, ask: Callable[[Engine], object]
) -> None:
    engine = TransformersEngine(backend_of("transformers", "bfloat16"))
    engine.open(overlong, None)
    assert list(engine.logprobs([Continuation("green", " leaves")]))
    with pytest.raises(CheckpointRefused, match="makes token 259 of a text, and the model embeds"):
        ask(engine)


def test_training_refuses_it_too(overlong: Path) -> None:
    rows = [Row("tea?", "Yes.", kind="task", line=1)]
    with pytest.raises(CheckpointRefused, match="makes token 259 of a text"):
        tokenise(rows, model.load_tokenizer(overlong), 64, Path("rows.jsonl"))


def test_a_config_says_how_many_tokens_are_embedded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"text_config": {"vocab_size": 7}}')
    assert embedded_tokens(tmp_path) == 7
    refuse_unknown_tokens([], 7)
    refuse_unknown_tokens([6, 0], 7)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointRefused, match="gives no vocab_size"):
        embedded_tokens(tmp_path)
