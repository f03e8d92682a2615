"""Activations and self-influence of a real tiny model, against hooks and autograd by hand."""

from pathlib import Path

import pytest
import torch

from holdfast.probes.engine import Backend, Continuation, Message
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.tokens import continuation_ids, load_tokenizer
from workers.inference.transformers.engine import TransformersEngine

ASKED = [
    Continuation((Message("user", "Add two and two."),), "Four."),
    Continuation((Message("system", "Be short."), Message("user", "Why?")), "Because it rains."),
    Continuation((Message("user", "x" * 40),), "No"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("model") / "tiny", dtype=torch.float32)


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    opened = TransformersEngine(Backend("transformers", "test", "float32", max_model_len=200))
    opened.open(folder, None)
    return opened


def test_activations_are_what_hooks_see_of_each_row_alone(
    engine: TransformersEngine, folder: Path
) -> None:
    """A batch pads rows of other lengths on the left; what is read must be the row's own."""
    found = dict(engine.activations(ASKED))
    model, seen = engine._model, {}
    blocks = model.model.layers
    handles = [
        block.register_forward_hook(lambda _m, _i, out, at=at: seen.__setitem__(at, out))
        for at, block in enumerate(blocks)
    ]
    for at, asked in enumerate(ASKED):
        ids, prompt = continuation_ids(load_tokenizer(folder), None, asked)
        with torch.inference_mode():
            model(input_ids=torch.tensor([ids]))
        states = [seen[layer] for layer in range(len(blocks))]
        states = [state[0] if isinstance(state, tuple) else state for state in states]
        states[-1] = model.model.norm(states[-1]).detach()  # as transformers hands it back
        for layer, state in enumerate(states):
            alone = state.reshape(len(ids), -1).double()
            assert found[at].prompt[layer] == pytest.approx(alone[prompt - 1].numpy(), abs=1e-4)
            assert found[at].answer[layer] == pytest.approx(
                alone[prompt:].mean(0).numpy(), abs=1e-4
            )
    for handle in handles:
        handle.remove()
    assert len(found) == len(ASKED)


def test_one_layer_is_the_same_as_that_one_of_all(engine: TransformersEngine) -> None:
    every, one = dict(engine.activations(ASKED)), dict(engine.activations(ASKED, (1,)))
    for at in every:
        assert one[at].answer.shape == (1, every[at].answer.shape[1])
        assert one[at].answer[0] == pytest.approx(every[at].answer[1])


def test_self_influence_is_the_squared_norm_of_the_whole_gradient(
    engine: TransformersEngine, folder: Path
) -> None:
    """Tied weights count once, with both of their parts, and nothing is left behind."""
    model = engine._model
    for at, square, tokens in list(engine.self_influence(ASKED)):
        ids, prompt = continuation_ids(load_tokenizer(folder), None, ASKED[at])
        labels = torch.tensor([[-100] * prompt + ids[prompt:]])
        loss = model(input_ids=torch.tensor([ids]), labels=labels).loss
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        by_hand = sum(float(gradient.square().sum()) for gradient in gradients)
        assert square == pytest.approx(by_hand, rel=1e-4)
        assert tokens == len(ids) - prompt
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(weight._post_accumulate_grad_hooks for weight in model.parameters())


def test_what_does_not_fit_the_context_is_left_out(engine: TransformersEngine) -> None:
    long = Continuation((Message("user", "y" * 250),), "No")
    assert [at for at, _ in engine.activations([ASKED[0], long])] == [0]
    assert [at for at, _, _ in engine.self_influence([long, ASKED[0]])] == [1]
