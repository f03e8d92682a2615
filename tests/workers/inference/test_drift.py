"""KL over the whole vocabulary, against enumeration; the child, on two tiny real models."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend, Continuation, Message
from holdfast.suites import Request, load_suite
from tests.support.tiny_llama import build_tiny_llama
from workers.inference import drift
from workers.inference.drift import (
    Job,
    drift_of,
    main,
    measure,
    measure_refusals,
    token_kl,
    weight_distance,
)
from workers.inference.refusal_direction import pool_requests
from workers.inference.tokens import continuation_ids, load_tokenizer
from workers.inference.transformers.engine import TransformersEngine

PROMPTS = {f"row-{n}": (("user", f"add {n} and {n}"),) for n in range(5)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift")
    for seed, name in enumerate(("baseline", "candidate")):
        build_tiny_llama(folder / name, seed=seed, dtype=torch.float32)
    return folder


def job(models: Path, candidate: str, scratch: Path) -> Job:
    scratch.mkdir(exist_ok=True)
    return Job(
        baseline=models / "baseline",
        candidate=models / candidate,
        template=None,
        prompts=PROMPTS,
        max_tokens=7,
        temperature=1.0,
        seed=3,
        scratch=scratch,
    )


def opened() -> TransformersEngine:
    return TransformersEngine(Backend("transformers", "test", "float32"))


def test_a_vocabulary_of_three_by_hand() -> None:
    ours, theirs = [0.7, 0.2, 0.1], [0.5, 0.25, 0.25]
    by_hand = sum(p * math.log(p / q) for p, q in zip(ours, theirs, strict=True))
    logs = [torch.tensor([one]).log() for one in (ours, theirs)]
    assert token_kl(*logs).item() == pytest.approx(by_hand)
    assert token_kl(logs[1], logs[0]).item() != pytest.approx(by_hand, rel=0.01)  # it has a side
    assert token_kl(logs[0], logs[0]).item() == 0.0
    sure, unsure = torch.tensor([[1.0, 0.0, 0.0]]).log(), torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert token_kl(sure, unsure).item() == pytest.approx(math.log(2))
    assert token_kl(unsure, sure).item() == math.inf


def test_the_first_five_tokens_are_summed_apart() -> None:
    ours = torch.randn(8, 30, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    theirs = torch.randn(8, 30, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    found = drift_of(ours, theirs, "a")
    assert (found.tokens, found.first_tokens) == (8, 5)
    assert found.first_kl == pytest.approx(float(token_kl(ours[:5], theirs[:5]).sum()))
    assert drift_of(ours[:2], theirs[:2], "a").first_tokens == 2


def test_distributions_are_those_of_one_row_alone(models: Path) -> None:
    engine = TransformersEngine(Backend("transformers", "test", "float32"))
    engine.open(models / "baseline", None)
    asked = [Continuation((Message("user", "x" * n),), "y" * (12 - n)) for n in range(1, 11)]
    together = dict(engine.distributions(asked))
    scores = dict(engine.logprobs(asked))
    for index, one in enumerate(asked):
        ((_, alone),) = engine.distributions([one])
        assert alone.shape == (len(one.text), 320)
        assert torch.allclose(together[index], alone, atol=1e-4)
        assert alone.exp().sum(-1).allclose(torch.ones(len(one.text)), atol=1e-5)
        ids = continuation_ids(load_tokenizer(models / "baseline"), None, one)[0][-len(one.text) :]
        total = float(alone[range(len(ids)), ids].sum())
        assert total == pytest.approx(scores[index].logprob, abs=1e-3)


def test_a_model_has_not_drifted_from_itself_and_another_has(models: Path, tmp_path: Path) -> None:
    same = list(measure(job(models, "baseline", tmp_path / "s"), opened()))
    assert {one.item for one in same} == set(PROMPTS)
    assert all(one.kl < 1e-6 for one in same)
    moved = list(measure(job(models, "candidate", tmp_path / "s"), opened()))
    assert all(one.kl > 0.01 for one in moved)
    assert [one.tokens for one in moved] == [one.tokens for one in same]  # the baseline's answers
    assert not list((tmp_path / "s").iterdir())


def test_in_parts_the_drift_is_the_same_and_less_waits_on_the_disk(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(measure(job(models, "candidate", tmp_path / "s"), opened()))
    monkeypatch.setattr(drift, "WAITING_BYTES", 4 * 320 * 15)  # two answers of seven tokens
    waiting: list[int] = []
    save = torch.save

    def counted(ours: torch.Tensor, file: Path) -> None:
        save(ours, file)
        waiting.append(len(list(file.parent.iterdir())))

    monkeypatch.setattr(torch, "save", counted)
    parts = list(measure(job(models, "candidate", tmp_path / "s"), opened()))
    assert max(waiting) == 2
    assert {one.item: one.kl for one in parts} == pytest.approx(
        {one.item: one.kl for one in whole}, rel=1e-4
    )


def test_requests_have_not_moved_in_a_model_itself_and_in_another_they_have(
    models: Path, tmp_path: Path
) -> None:
    items = [item for item in load_suite("harmful").items if isinstance(item, Request)][:4]
    requests = {item.id: (("user", item.prompt),) for item in items}
    asked = job(models, "baseline", tmp_path / "s").model_copy(update={"requests": requests})
    same = dict(measure_refusals(asked, opened()))
    assert same == pytest.approx(dict.fromkeys(requests, 0.0), abs=1e-6)
    asked = asked.model_copy(update={"candidate": models / "candidate"})
    moved = dict(measure_refusals(asked, opened()))
    assert moved.keys() == requests.keys()
    assert all(abs(one) > 0.01 for one in moved.values())


def test_where_harmful_requests_are_read_as_harmless_ones_they_have_moved_by_one(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline against itself, asked the pool's harmless requests in the candidate's turn."""
    harmful, benign = pool_requests()
    engine, asked_of = opened(), []
    activations = engine.activations

    def swapped(asked: list[Continuation], *how: object) -> object:
        asked_of.append(asked)
        if len(asked_of) < 4:  # both sides of the direction, then the requests in the baseline
            return activations(asked, *how)  # type: ignore[arg-type]
        return activations([Continuation((Message("user", one),), ".") for one in benign], *how)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "activations", swapped)
    requests = {f"r{at}": (("user", prompt),) for at, prompt in enumerate(harmful)}
    asked = job(models, "baseline", tmp_path / "s").model_copy(update={"requests": requests})
    moved = dict(measure_refusals(asked, engine))
    assert sum(moved.values()) / len(moved) == pytest.approx(1, abs=1e-3)


def test_weights_move_layer_by_layer(models: Path, tmp_path: Path) -> None:
    assert set(weight_distance(models / "baseline", models / "baseline").values()) == {0.0}
    weights = load_file(models / "baseline" / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    shifted = tmp_path / "shifted"
    shifted.mkdir()
    moved = {**weights, name: weights[name] * 1.5}
    half = len(moved) // 2  # in two shards, as larger checkpoints come
    save_file(dict(list(moved.items())[:half]), shifted / "model-00001-of-00002.safetensors")
    save_file(dict(list(moved.items())[half:]), shifted / "model-00002-of-00002.safetensors")
    found = weight_distance(models / "baseline", shifted)
    assert {place for place, distance in found.items() if distance} == {"layer 001"}
    layer = [one.double() for key, one in weights.items() if ".layers.1." in key]
    size = math.sqrt(sum(float(one.square().sum()) for one in layer))
    assert found["layer 001"] == pytest.approx(0.5 * float(weights[name].double().norm()) / size)


def test_other_tensors_are_refused(models: Path, tmp_path: Path) -> None:
    weights = load_file(models / "baseline" / "model.safetensors")
    name = min(weights)
    odd = tmp_path / "odd"
    odd.mkdir()
    save_file({key: one for key, one in weights.items() if key != name}, odd / "model.safetensors")
    with pytest.raises(CheckpointRefused, match="one of the two"):
        weight_distance(models / "baseline", odd)
    save_file({**weights, name: weights[name][:2].clone()}, odd / "model.safetensors")
    with pytest.raises(CheckpointRefused, match="expected one shape"):
        weight_distance(models / "baseline", odd)


def test_the_child_says_what_it_found_line_by_line(
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "job.json"
    file.write_text(job(models, "candidate", tmp_path / "s").model_dump_json())
    child = [sys.executable, "-m", "workers.inference.drift", str(file)]
    monkeypatch.setenv("HOLDFAST_DTYPE", "float32")
    ended = subprocess.run(child, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "weights"] == ["drift"] * 5 + [
        "done"
    ]
    bad = job(models, "candidate", tmp_path / "s").model_copy(update={"candidate": tmp_path})
    file.write_text(bad.model_dump_json())
    assert main(file) == 65
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"] == "CheckpointRefused"
