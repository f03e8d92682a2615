"""Whether two checkpoints are one model, tensor by tensor, before anything is computed.

Weights can be merged only where both hold the same tensors, of equal shape and dtype, and read
them the same way: equal shapes with another number of heads are another model. A head that is tied
to the embedding may be stored on one side only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoint import same_architecture
from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.remediation import Plan
from training.shards import Span, read_object, read_spans
from training.vocabulary import refuse_another_vocabulary

HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")

# equal shapes with another of these are another model
MEANING = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim")


@dataclass(frozen=True, slots=True)
class Pair:
    """What to merge: tensors by name, the layout being the start checkpoint's."""

    baseline: Mapping[str, Span]
    candidate: Mapping[str, Span]
    layout: Mapping[str, Span]


def pair_of(plan: Plan) -> tuple[Pair, Path]:
    """The plan's two checkpoints, matched, and the folder of the candidate."""
    if plan.candidate is None:
        raise InvalidPlan(f"recipe {plan.recipe} merges with a candidate, but the plan names none")
    return pair_up(plan.baseline, plan.candidate, plan.start_checkpoint), plan.candidate


def pair_up(baseline: Path, candidate: Path, start: Path) -> Pair:
    """Match the tensors of two checkpoints, or say in one sentence why they are not one model.

    `start` is the one of them whose files the output takes after. A head that is tied to the
    embedding may be stored in one of them only; it is then read where it is stored.
    """
    configs = [read_object(folder / "config.json") for folder in (baseline, candidate)]
    _check_configs(*configs)
    refuse_another_vocabulary(baseline, candidate)
    spans = {folder: read_spans(folder) for folder in {baseline, candidate}}
    layout = dict(spans[start])
    if all(config.get("tie_word_embeddings", False) for config in configs):
        for found in spans.values():
            _retie(found, layout)
    _check_match(spans[baseline], spans[candidate])
    return Pair(spans[baseline], spans[candidate], layout)


def refuse_another_architecture(plan: Plan) -> None:
    """Raise InvalidPlan if what training starts from is not shaped as the baseline is.

    CheckpointRefused if it is, and numbers its tokens otherwise.
    """
    for folder in (plan.baseline, plan.start_checkpoint):
        read_object(folder / "config.json")  # says what is wrong with a folder that is none
    if not same_architecture(plan.baseline, plan.start_checkpoint):
        raise InvalidPlan(
            f"recipe {plan.recipe} holds the policy to the baseline, but {plan.start_checkpoint} "
            "is of another architecture; give the baseline that the candidate was tuned from"
        )
    refuse_another_vocabulary(plan.baseline, plan.start_checkpoint)


def _check_configs(baseline: Mapping[str, object], candidate: Mapping[str, object]) -> None:
    for config, who in ((baseline, "baseline"), (candidate, "candidate")):
        if "quantization_config" in config:
            raise CheckpointRefused(
                f"the {who} is quantised, and codes cannot be merged; give its bf16 weights"
            )
    for key in MEANING:
        ours, theirs = baseline.get(key), candidate.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            raise CheckpointRefused(
                f"config.json: {key} is {ours} in the baseline and {theirs} in the candidate; "
                "only two checkpoints of one model can be merged"
            )


def _retie(spans: dict[str, Span], layout: Mapping[str, Span]) -> None:
    """Have the tied head stand in `spans` exactly if it does in `layout`."""
    embedding = next((spans[name] for name in EMBEDDINGS if name in spans), None)
    for head in HEADS:
        if head not in layout:
            spans.pop(head, None)
        elif embedding is not None:
            spans.setdefault(head, embedding)


def _check_match(baseline: Mapping[str, Span], candidate: Mapping[str, Span]) -> None:
    if odd := sorted(baseline.keys() ^ candidate.keys()):
        where = "baseline" if odd[0] in baseline else "candidate"
        raise CheckpointRefused(
            f"tensor {odd[0]!r} stands only in the {where} ({len(odd)} such); "
            "only two checkpoints of one model can be merged"
        )
    for name, ours in baseline.items():
        theirs = candidate[name]
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise CheckpointRefused(
                f"tensor {name!r} is {ours.dtype} {list(ours.shape)} in the baseline but "
                f"{theirs.dtype} {list(theirs.shape)} in the candidate; "
                "save both in one dtype, from one model"
            )
