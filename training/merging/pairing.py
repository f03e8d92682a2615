"""Check that two checkpoints are one model, tensor by tensor, before anything is computed.

Weights can be merged only where both hold the same tensors, of equal shape, and read them the same
way: equal shapes with another number of heads are another model. What may differ: the dtype (the
output has that of the start checkpoint), a head that is tied to the embedding and stored on one
side only, buffers that old versions stored, and the names under which a model in memory is saved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from training.weights.shards import Span, is_old_buffer, read_object, read_spans
from training.weights.vocabulary import refuse_another_vocabulary

HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight")
VOCABULARY = ("embed_tokens.weight", "wte.weight", "embed_in.weight", *HEADS)  # a row each token

# equal shapes with another of these are another model; whatever else a config says may differ
MEANING = (
    *("model_type", "num_attention_heads", "num_key_value_heads", "head_dim", "layer_types"),
    *("hidden_act", "hidden_activation", "activation_function", "use_parallel_residual"),
    *("rope_parameters", "rope_theta", "rope_scaling", "rope_local_base_freq", "rotary_emb_base"),
    *("partial_rotary_factor", "rotary_pct", "no_rope_layers", "alibi"),
    *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"),
    *("sliding_window", "use_sliding_window", "max_window_layers", "attention_chunk_size"),
    *("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"),
    *("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"),
    *("num_experts_per_tok", "norm_topk_prob", "routed_scaling_factor", "scoring_func"),
    *("n_group", "topk_group", "topk_method", "first_k_dense_replace", "decoder_sparse_step"),
)
SAME_MODEL_ADVICE = "only two checkpoints of one model can be merged, or held to one another"
WRAPPERS = {  # what the names of a wrapped model begin with
    "_orig_mod.": "torch.compile",
    "module.": "a data-parallel wrapper",
    "base_model.model.": "peft",
    "_fsdp_wrapped_module.": "FSDP",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two matched checkpoints: tensors by name, and the start checkpoint's layout."""

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
    configs = _check_configs(baseline, candidate)
    refuse_another_vocabulary(baseline, candidate)
    spans = {folder: read_spans(folder) for folder in {baseline, candidate}}
    layout = dict(spans[start])
    if all(config.get("tie_word_embeddings", False) for config in configs):
        for side_spans in spans.values():
            _retie(side_spans, layout)
    ours, theirs = spans[baseline], spans[candidate]
    for name in ours.keys() ^ theirs.keys():
        if is_old_buffer(name, (ours | theirs)[name]):
            for side in (ours, theirs, layout):
                side.pop(name, None)
    if ours.keys() != theirs.keys():
        ours, theirs = _match_names(ours, theirs, baseline)
        layout = _rename_layout(layout, ours if start == baseline else theirs)
    _check_match(ours, theirs)
    return Pair(ours, theirs, layout)


def refuse_another_architecture(plan: Plan) -> None:
    """Raise CheckpointRefused if what training starts from is not the baseline's model."""
    pair_up(plan.baseline, plan.start_checkpoint, plan.start_checkpoint)


def require_same_names(pairs: Sequence[Pair]) -> None:
    """Raise CheckpointRefused if some of the pairs name their tensors otherwise than the rest."""
    if any(pair.baseline.keys() != pairs[0].baseline.keys() for pair in pairs):
        raise CheckpointRefused(
            "the checkpoints name their tensors in different ways; load each with transformers and "
            "save it with save_pretrained"
        )


def _check_configs(*folders: Path) -> list[dict[str, Any]]:
    configs = [read_object(folder / "config.json") for folder in folders]
    for config, who in zip(configs, ("baseline", "candidate"), strict=True):
        if "quantization_config" in config:
            raise CheckpointRefused(
                f"the {who} is quantised, and codes cannot be merged; give its bf16 weights"
            )
    ours, theirs = (config | (config.get("text_config") or {}) for config in configs)
    if all(ours.get(key) == theirs.get(key) for key in MEANING):
        return configs
    from training.merging.naming import read_config  # seconds, which alike configs need not

    ours, theirs = (read_config(folder) for folder in folders)
    for key in MEANING:
        if ours.get(key) != theirs.get(key):
            raise CheckpointRefused(
                f"config.json: {key} is {ours.get(key)} in the baseline and {theirs.get(key)} in "
                f"the candidate; {SAME_MODEL_ADVICE}"
            )
    return configs


def _match_names(
    ours: Mapping[str, Span], theirs: Mapping[str, Span], folder: Path
) -> tuple[dict[str, Span], dict[str, Span]]:
    """Both checkpoints under one set of names: the baseline's, or the candidate's if finer."""
    from training.merging.naming import split, tensors_in_memory

    odd = [side.keys() - other.keys() for side, other in ((ours, theirs), (theirs, ours))]
    loaded = [tensors_in_memory(folder, names) for names in odd]
    sides = dict(ours), dict(theirs)
    for target in loaded[0].keys() & loaded[1].keys():
        parts = [side_parts[target] for side_parts in loaded]
        finer = int(len(parts[1].names) > len(parts[0].names))
        coarser = 1 - finer
        if len(parts[coarser].names) != 1:
            continue  # neither can be written as the other
        (name,) = parts[coarser].names
        pieces = split(sides[coarser][name], name, parts[finer], sides[finer])
        if pieces is not None:
            del sides[coarser][name]
            sides[coarser].update(pieces)
    return sides


def _rename_layout(layout: Mapping[str, Span], side: Mapping[str, Span]) -> dict[str, Span]:
    """The layout under the names of `side`, with a split tensor's parts in its place."""
    renamed: dict[str, Span] = {}
    for name, span in layout.items():
        if name in side:
            renamed[name] = span
        else:
            renamed |= {
                part: part_span
                for part, part_span in side.items()
                if part_span.stored_name(part) == name
            }
    return renamed


def _retie(spans: dict[str, Span], layout: Mapping[str, Span]) -> None:
    """Add or drop the tied head in `spans`, so that it is there exactly if `layout` has it."""
    embedding = next((spans[name] for name in EMBEDDINGS if name in spans), None)
    for head in HEADS:
        if head not in layout:
            spans.pop(head, None)
        elif embedding is not None:
            spans.setdefault(head, embedding)


def _check_match(baseline: Mapping[str, Span], candidate: Mapping[str, Span]) -> None:
    if odd := sorted(baseline.keys() ^ candidate.keys()):
        where, side = ("baseline", baseline) if odd[0] in baseline else ("candidate", candidate)
        advice = SAME_MODEL_ADVICE
        for prefix, wrapper in WRAPPERS.items():
            if all(name.startswith(prefix) for name in side):
                advice = (
                    f"its names begin with {prefix!r}, as {wrapper} leaves them: unwrap the model "
                    "and save it with save_pretrained"
                )
        raise CheckpointRefused(
            f"tensor {odd[0]!r} stands only in the {where} ({len(odd)} such); {advice}"
        )
    for name, ours in baseline.items():
        theirs = candidate[name]
        if name.endswith(VOCABULARY) and ours.shape[1:] == theirs.shape[1:]:
            _check_rows(name, ours.shape[0], theirs.shape[0])
        alike = ours.dtype == theirs.dtype or (ours.floating and theirs.floating)
        if ours.shape != theirs.shape or not alike:
            raise CheckpointRefused(
                f"tensor {name!r} is {ours.dtype} {list(ours.shape)} in the baseline but "
                f"{theirs.dtype} {list(theirs.shape)} in the candidate; "
                f"{SAME_MODEL_ADVICE}"
            )


def _check_rows(name: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        larger, smaller = ("candidate", "baseline") if theirs > ours else ("baseline", "candidate")
        raise CheckpointRefused(
            f"tensor {name!r} has {ours} rows in the baseline and {theirs} in the candidate: the "
            f"vocabulary of the {larger} was resized, by {abs(theirs - ours)}; give the {smaller} "
            f"as many with resize_token_embeddings({max(ours, theirs)}), or cut the {larger} back"
        )
