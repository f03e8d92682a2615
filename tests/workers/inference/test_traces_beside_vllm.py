"""What is told apart here is told apart by vLLM's own parsers in the same places."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer_harmony import ANSWERS, parsed
from tests.support.reciting_llama import build_reciting_llama
from tests.workers.inference.test_traces import (
    CHANNELS,
    LONG,
    OPENS_NOTHING,
    played,
    reading_with,
)
from workers.inference.reading import Reading, read_checkpoint

vllm = pytest.importorskip("vllm.reasoning")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what vLLM imports
TAGS = {
    "deepseek_r1": ("<think>", "</think>"),
    "qwen3": ("<think>", "</think>"),
    "seed_oss": ("<seed:think>", "</seed:think>"),
    "nemotron_v3": ("<think>", "</think>"),
}
HARMONY = Path(__file__).parents[2] / "data" / "peers" / "harmony.json"
OPENED = "{% for m in messages %}{{ m.content }}{% endfor %}OPENING\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def reading_of(folder: Path, opening: str, closing: str, *, opened: bool) -> Reading:
    place = folder / opening.strip("<>")
    if not place.exists():
        build_reciting_llama(place, ("x",), all_pieces=(opening, closing))
    template = OPENED.replace("OPENING", opening) if opened else OPENS_NOTHING
    return read_checkpoint(place).with_template(template)


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("words", ["OSo be it.\nC\n\nYes.", "OC\n\nYes, and\nno.", "OSo be it."])
@pytest.mark.parametrize("parser", TAGS)
def test_tags_are_read_as_vllm_reads_them(
    folder: Path, parser: str, words: str, opened: bool
) -> None:
    opening, closing = TAGS[parser]
    reading = reading_of(folder, opening, closing, opened=opened)
    said = words.replace("O", "" if opened else opening, 1).replace("C", closing)
    theirs: Any = vllm.ReasoningParserManager.get_reasoning_parser(parser)(reading.tokenizer)
    trace, answer = theirs.extract_reasoning(said, _request())
    ours = played(reading, said, LONG)
    assert (ours.trace, ours.text) == ((trace or "").strip(), (answer or "").strip())


def _request() -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    return ChatCompletionRequest(messages=[{"role": "user", "content": "hi"}], model="m")


@pytest.fixture(scope="module")
def channels(folder: Path) -> Reading:
    return reading_with(folder / "channels", (*CHANNELS, "<|constrain|>"))


@pytest.mark.parametrize("name", ANSWERS)
def test_channels_are_read_as_vllm_reads_them(channels: Reading, name: str) -> None:
    """As it did when tests/support/peer_harmony.py was last run; a call of a tool is no answer."""
    theirs = json.loads(HARMONY.read_text())["answers"][name]
    ours = played(channels, ANSWERS[name], LONG)
    assert _letters(ours.text) == _letters(theirs["answer"])
    assert _letters(ours.trace).startswith(_letters(theirs["trace"]))
    if "tool" not in name:
        assert _letters(ours.trace) == _letters(theirs["trace"])


@pytest.mark.skipif(
    "TIKTOKEN_ENCODINGS_BASE" not in os.environ, reason="no vocabulary of harmony on this machine"
)
def test_vllm_still_reads_channels_as_it_did() -> None:
    assert parsed() == json.loads(HARMONY.read_text())["answers"]


def _letters(text: str) -> str:
    """Without white space: vLLM parts one message from the next by a line of its own."""
    return "".join(text.split())
