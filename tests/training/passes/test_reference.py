"""The baseline's log-probabilities: what is kept equals what is computed, and is never stale."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.errors import InvalidPlan, InvalidTaskData
from holdfast.repairs.task_data import PreferencePair
from tests.support.tiny_llama import build_tiny_llama
from training.passes.preference import Contest, tokenise_pairs
from training.passes.reference import cache_file, reference_logprobs
from training.weights.model import load_policy, load_tokenizer

PAIRS = [
    PreferencePair(f"Break lock {k}.", "I can't help with that.", "Yes. " * (k + 1), None, k + 1)
    for k in range(20)
]


@pytest.fixture
def contests(baseline: Path) -> list[Contest]:
    return tokenise_pairs(PAIRS, load_tokenizer(baseline), 96, Path("f"))


def test_kept_is_computed_in_any_order_and_batch(
    tmp_path: Path, baseline: Path, contests: list[Contest]
) -> None:
    reference = load_policy(baseline).double()  # rounding of the model is not the cache's
    cache = cache_file(tmp_path, baseline, reference)
    first = reference_logprobs(reference, contests, 2, cache)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)).tolist()
    silent = torch.nn.Linear(1, 1)  # has no log-probabilities to give: all must be kept
    kept = reference_logprobs(silent, [contests[k] for k in order], 2, cache)
    torch.testing.assert_close(kept, first[order], atol=0, rtol=0)
    one_by_one = torch.cat([reference_logprobs(reference, [one], 2, None) for one in contests])
    torch.testing.assert_close(first, one_by_one, atol=1e-5, rtol=1e-6)


def test_only_what_is_new_is_computed(
    tmp_path: Path, baseline: Path, contests: list[Contest]
) -> None:
    reference = load_policy(baseline).double()
    cache = cache_file(tmp_path, baseline, reference)
    reference_logprobs(reference, contests[:15], 2, cache)
    whole = reference_logprobs(reference, contests, 2, cache)
    torch.testing.assert_close(
        whole, reference_logprobs(reference, contests, 2, None), atol=1e-5, rtol=1e-6
    )


def test_one_changed_weight_misses(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "one")
    reference = load_policy(folder)
    before = cache_file(tmp_path, folder, reference)
    assert cache_file(tmp_path, folder, reference) == before
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] += 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert cache_file(tmp_path, folder, reference) != before


def test_another_attention_misses(tmp_path: Path, baseline: Path) -> None:
    reference = load_policy(baseline)
    before = cache_file(tmp_path, baseline, reference)
    reference.set_attn_implementation("eager")  # type: ignore[operator]
    assert cache_file(tmp_path, baseline, reference) != before


def test_another_length_or_template_misses(
    tmp_path: Path, baseline: Path, contests: list[Contest]
) -> None:
    reference = load_policy(baseline)
    cache = cache_file(tmp_path, baseline, reference)
    reference_logprobs(reference, contests, 2, cache)
    tokenizer = load_tokenizer(baseline)
    tokenizer.chat_template = str(tokenizer.chat_template).replace("\n", "\n\n")
    silent = torch.nn.Linear(1, 1)
    for other in (
        tokenise_pairs(PAIRS, tokenizer, 96, Path("f")),
        tokenise_pairs(PAIRS[19:], load_tokenizer(baseline), 70, Path("f")),
    ):
        with pytest.raises(AttributeError):  # it has to compute, and has nothing to compute with
            reference_logprobs(silent, other, 2, cache)


def test_a_damaged_file_is_named(tmp_path: Path, baseline: Path, contests: list[Contest]) -> None:
    cache = tmp_path / "cut.json"
    cache.write_text('{"a": [1.0')
    with pytest.raises(InvalidTaskData, match=r"cut\.json is damaged .*remove it"):
        reference_logprobs(load_policy(baseline), contests, 2, cache)


def test_no_text_is_kept(tmp_path: Path, baseline: Path, contests: list[Contest]) -> None:
    reference = load_policy(baseline)
    cache = cache_file(tmp_path, baseline, reference)
    reference_logprobs(reference, contests, 2, cache)
    assert "lock" not in cache.read_text()


def test_a_file_is_no_place_for_a_cache(tmp_path: Path, baseline: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidPlan, match="file is no folder"):
        cache_file(tmp_path / "file", baseline, load_policy(baseline))
    new = tmp_path / "new"
    assert cache_file(new, baseline, load_policy(baseline)).parent == new
