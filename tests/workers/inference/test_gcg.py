"""The white-box search on a random two-layer Llama: its loss falls, and the text it finds is it."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from holdfast.attacks.from_file import read_texts
from holdfast.attacks.suffixes import with_suffix
from holdfast.probes.engine import Backend, Continuation, Message
from tests.support.tiny_llama import build_tiny_llama
from workers.inference import gcg
from workers.inference.gcg import TARGET, Search, search
from workers.inference.tokens import load_tokenizer
from workers.inference.transformers.engine import TransformersEngine

REQUESTS = ["Bake a cake.", "Fold a kite."]
HOW = Search(steps=8, tried=24, considered=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "model", dtype=torch.float32)


def test_the_target_becomes_likelier_and_an_engine_agrees(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = load_tokenizer(folder)
    found = search(model, tokenizer, REQUESTS, HOW, None)
    assert len(found.losses) == HOW.steps + 1
    assert found.loss == min(found.losses) < found.losses[0] - 0.02
    assert found == search(model, tokenizer, REQUESTS, HOW, None)
    engine = TransformersEngine(Backend("transformers", "test", "float32"))
    engine.open(folder, None)
    asked = [
        Continuation((Message("user", with_suffix(one, found.suffix)),), TARGET) for one in REQUESTS
    ]
    scores = [score.logprob for _, score in sorted(engine.logprobs(asked))]
    assert -sum(scores) / len(TARGET) / len(REQUESTS) == pytest.approx(found.loss, abs=1e-4)
    assert found.suffix.isascii()
    assert found.suffix.isprintable()


def test_what_was_found_is_added_to_the_file_that_the_probe_reads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "suffixes.json"
    out.write_text('["an older one"]')
    command = ["gcg", str(folder), "--out", str(out), "--steps", "1", "--requests", "1"]
    monkeypatch.setattr(sys, "argv", command)
    assert gcg.main() == 0
    assert json.loads(out.read_bytes())[0] == "an older one"
    assert len(read_texts(out)) == 2
