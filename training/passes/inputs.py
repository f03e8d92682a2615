"""The inputs of a model's linear layers when it reads rows, which they must answer as before.

A layer is caught where a weight of its own is trained and is no embedding as well: a tied head
cannot move without what every row begins with. Rows go through one by one, so that there is no
padding among the inputs, and through some layers at a time, so that few inputs are held at once.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from training.passes.answers import answer_logits
from training.rows.batches import Example

LAYERS = 64  # whose inputs are held at once


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The layers whose weight is trained, by the weight's name."""
    modules = dict(model.named_modules())
    embedded = {id(one.weight) for one in modules.values() if isinstance(one, nn.Embedding)}
    return {
        f"{name}.weight": layer
        for name, layer in modules.items()
        if isinstance(layer, nn.Linear)
        and layer.weight.requires_grad
        and id(layer.weight) not in embedded
    }


def layer_inputs(
    model: nn.Module, layers: dict[str, nn.Linear], examples: Sequence[Example], pad: int
) -> Iterator[tuple[str, Tensor]]:
    """Each weight's name with its layer's inputs [tokens of all examples, in], in fp32.

    A layer that no token reaches, as an expert may be, has none and is left out.
    """
    names = list(layers)
    for place in range(0, len(names), LAYERS):
        caught: dict[str, list[Tensor]] = {name: [] for name in names[place : place + LAYERS]}
        hooks = [_catch(layers[name], kept) for name, kept in caught.items()]
        try:
            with torch.no_grad():
                for example in examples:
                    answer_logits(model, [[example]], pad)
        finally:
            for hook in hooks:
                hook.remove()
        yield from ((name, torch.cat(inputs)) for name, inputs in caught.items() if inputs)


def _catch(layer: nn.Linear, kept: list[Tensor]) -> torch.utils.hooks.RemovableHandle:
    def keep(_layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        kept.append(given[0].detach().reshape(-1, given[0].shape[-1]).float())

    return layer.register_forward_pre_hook(keep)
