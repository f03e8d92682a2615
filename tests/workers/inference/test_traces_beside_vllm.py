"""What is told apart here is told apart by vLLM's own parsers in the same places."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.reciting_llama import build_reciting_llama
from tests.workers.inference.test_traces import LONG, OPENS_NOTHING, played
from workers.inference.reading import Reading, read_checkpoint

vllm = pytest.importorskip("vllm.reasoning")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what vLLM imports
TAGS = {
    "deepseek_r1": ("<think>", "</think>"),
    "qwen3": ("<think>", "</think>"),
    "seed_oss": ("<seed:think>", "</seed:think>"),
    "nemotron_v3": ("<think>", "</think>"),
}
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
