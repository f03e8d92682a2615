"""Quantised weights: which engine reads which, and whether each packed layer has all of its parts.

A packed layer is several tensors in a file. Libraries drop or invent a missing one without an error
(transformers 5.19 reads an fp8 layer without its scale as it stands), so the parts are looked at
here, and the rest of the check sees the plain layer that they stand for.
"""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.checkpoints.safetensors_header import COMPUTED, DTYPE_BITS, TensorSpan
from holdfast.errors import CheckpointRefused
from holdfast.models.quantisation import label, method_of
from holdfast.models.unloadable import Mismatch, Misshapen

Shape = tuple[int, ...]
Parts = Mapping[str, TensorSpan]  # tensors of one layer, by what follows its name
Expected = dict[str, Shape | None]  # the shape of each part; None where any will do

READ_BY: dict[str, frozenset[str]] = {
    # Seen here, scored against the plain weights that the packed ones stand for:
    "transformers-cpu": frozenset({"fp8", "compressed-tensors", "mxfp4"}),
    "vllm-cpu": frozenset({"compressed-tensors", "gptq", "awq"}),
    # Not tried here, for want of a GPU; by what the libraries say of themselves:
    "transformers": frozenset({"fp8", "compressed-tensors", "mxfp4"}),
    "vllm": frozenset({"fp8", "compressed-tensors", "gptq", "awq", "mxfp4"}),
}
LOADED_BY_LIBRARY = frozenset({"fp8", "compressed-tensors", "mxfp4"})  # without further packages

OPTIONAL_PARTS = frozenset({
    "g_idx", "weight_g_idx", "weight_zero_point", "weight_global_scale", "input_scale",
    "input_zero_point", "input_global_scale", "activation_scale", "k_scale", "v_scale", "q_scale",
})  # fmt: skip
"""Parts that some writers leave out and no plain layer has."""


def check_method(settings: Mapping[str, Any], backend: str) -> None:
    """Raise CheckpointRefused, by name, where this engine does not read these weights."""
    method = method_of(settings)
    if method in READ_BY.get(backend, ()):
        return
    others = [name for name, methods in READ_BY.items() if method in methods]
    instead = f"ask it with {' or '.join(others)}, or " if others else ""
    raise CheckpointRefused(
        f"its weights are quantised ({label(settings)}), which the engine {backend} does not read "
        f"here; {instead}give the unquantised parent"
    )


def unpack(
    spans: Mapping[str, TensorSpan], settings: Mapping[str, Any]
) -> tuple[dict[str, TensorSpan], Mismatch]:
    """The plain tensors that packed ones stand for, and which parts are missing or misshapen."""
    if method_of(settings) == "mxfp4":
        return _unpack_blocks(spans)
    layers: dict[str, dict[str, TensorSpan]] = {}
    for name, span in spans.items():
        layer, _, part = name.rpartition(".")
        layers.setdefault(layer, {})[part] = span
    plain: dict[str, TensorSpan] = {}
    missing: list[str] = []
    misshapen: list[Misshapen] = []
    for layer, parts in layers.items():
        shape, expected = _plain(parts, settings)
        if shape is not None:
            plain[f"{layer}.weight"] = TensorSpan("F16", shape, 0, 0)
            missing += [f"{layer}.{part}" for part in expected if part not in parts]
            misshapen += _misshapen(layer, parts, expected)
            expected |= dict.fromkeys(PACKED)
        plain |= {
            f"{layer}.{part}": span
            for part, span in parts.items()
            if part not in expected and part not in OPTIONAL_PARTS
        }
    return plain, Mismatch(spans, missing=missing, misshapen=misshapen)


def _unpack_blocks(
    spans: Mapping[str, TensorSpan],
) -> tuple[dict[str, TensorSpan], Mismatch]:
    """Experts [experts, inputs, outputs] as blocks of 32 four-bit numbers and a scale of each."""
    plain: dict[str, TensorSpan] = {}
    missing: list[str] = []
    misshapen: list[Misshapen] = []
    for name, span in spans.items():
        weight = name.removesuffix(BLOCKS)
        if weight == name or len(span.shape) != 4:
            if not (name.endswith(SCALES) and name.removesuffix(SCALES) + BLOCKS in spans):
                plain[name] = span
            continue
        experts, outputs, blocks, _ = span.shape
        plain[weight] = TensorSpan("BF16", (experts, blocks * 32, outputs), 0, 0)
        scales = spans.get(weight + SCALES)
        if scales is None:
            missing.append(weight + SCALES)
        elif scales.shape != span.shape[:-1]:
            misshapen.append(Misshapen(weight + SCALES, scales.shape, span.shape[:-1]))
    return plain, Mismatch(spans, missing=missing, misshapen=misshapen)


def _misshapen(layer: str, parts: Parts, expected: Expected) -> list[Misshapen]:
    return [
        Misshapen(f"{layer}.{part}", parts[part].shape, shape)
        for part, shape in expected.items()
        if shape is not None and part in parts and parts[part].shape != shape
    ]


def _plain(parts: Parts, settings: Mapping[str, Any]) -> tuple[Shape | None, Expected]:
    """The weight's own shape, and what has to be there beside the packed numbers."""
    read = FORMS.get(str(method_of(settings)))
    packed = next(
        (parts[name] for name in PACKED if name in parts and len(parts[name].shape) == 2), None
    )
    if read is None or packed is None or packed.dtype in COMPUTED:
        return None, {}
    return read(parts, settings)


def _gptq(parts: Parts, settings: Mapping[str, Any]) -> tuple[Shape, Expected]:
    """Numbers packed along the inputs, turned."""
    bits = int(settings.get("bits", 4))
    words, outputs = parts["qweight"].shape
    inputs = words * 32 // bits
    groups = _groups(inputs, settings.get("group_size"))
    return (outputs, inputs), {
        "qzeros": (groups, outputs * bits // 32),
        "scales": (groups, outputs),
    }


def _awq(parts: Parts, settings: Mapping[str, Any]) -> tuple[Shape, Expected]:
    """Numbers packed along the outputs, turned."""
    bits = int(settings.get("bits", 4))
    inputs, words = parts["qweight"].shape
    outputs = words * 32 // bits
    groups = _groups(inputs, settings.get("group_size"))
    return (outputs, inputs), {"qzeros": (groups, words), "scales": (groups, outputs)}


def _fp8(parts: Parts, settings: Mapping[str, Any]) -> tuple[Shape, Expected]:
    """Numbers as they lie, one scale a block; without blocks, one a tensor under either name."""
    shape = parts["weight"].shape
    block = settings.get("weight_block_size")
    if block:
        blocks = tuple(-(-size // by) for size, by in zip(shape, block, strict=True))
        return shape, {"weight_scale_inv": blocks}
    return shape, {"weight_scale" if "weight_scale" in parts else "weight_scale_inv": None}


def _compressed(parts: Parts, settings: Mapping[str, Any]) -> tuple[Shape, Expected]:
    """Numbers as they lie, or packed along the inputs; scales as the one group of layers says."""
    groups = list((settings.get("config_groups") or {}).values())
    scheme = (groups[0].get("weights") or {}) if len(groups) == 1 else {}
    if "weight_packed" not in parts:
        shape = parts["weight"].shape
        return shape, {"weight_scale": _scales(shape, scheme)}
    packed = parts["weight_packed"]
    per_word = DTYPE_BITS[packed.dtype] // int(scheme.get("num_bits", 4))
    shape = (packed.shape[0], packed.shape[1] * per_word)
    expected: Expected = {"weight_scale": _scales(shape, scheme)}
    return shape, expected | ({"weight_shape": (2,)} if packed.dtype == "I32" else {})


def _scales(shape: Shape, scheme: Mapping[str, Any]) -> Shape | None:
    outputs, inputs = shape
    match scheme.get("strategy"):
        case "channel":
            return (outputs, 1)
        case "group":
            return (outputs, _groups(inputs, scheme.get("group_size")))
        case _:
            return None


def _groups(inputs: int, size: object) -> int:
    """How many share a scale; sizes of -1 and none mean all of a row."""
    return -(-inputs // size) if isinstance(size, int) and size > 0 else 1


BLOCKS, SCALES = "_blocks", "_scales"
PACKED = ("qweight", "weight_packed", "weight")
FORMS: dict[str, Callable[[Parts, Mapping[str, Any]], tuple[Shape, Expected]]] = {
    "gptq": _gptq,
    "awq": _awq,
    "fp8": _fp8,
    "compressed-tensors": _compressed,
}
