"""Methods that run inside vLLM's own worker process, where no call from outside reaches."""

from typing import Any

import torch
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)


class WorkerMethods:
    """Methods that vLLM adds to its worker (`worker_extension_cls`), for `collective_rpc`."""

    model_runner: Any  # the worker's own

    def ask_for_tiles(self) -> None:
        """Have Linux let this process use AMX, before vLLM's attention does.

        A process has to ask. oneDNN asks at its first product in bfloat16 on CPUs that have AMX;
        vLLM's attention computes in tiles without asking, and where its first step is of a single
        token it comes first: an illegal instruction (seen with 0.32.0).
        """
        torch.ones(32, 32, dtype=torch.bfloat16) @ torch.ones(32, 32, dtype=torch.bfloat16)

    def heads_are_embeddings(self) -> bool:
        """Whether every head holds the numbers of an embedding, as a tied one has to.

        Some of vLLM's models do not read `tie_word_embeddings`; where the file has no head, theirs
        holds whatever stood in memory, and nothing is said (seen with 0.32.0).
        """
        heads: list[torch.Tensor] = []
        others: list[torch.Tensor] = []
        for layer in self.model_runner.get_model().modules():
            if isinstance(layer, VocabParallelEmbedding):
                weights = heads if isinstance(layer, ParallelLMHead) else others
                weights.append(layer.get_parameter("weight"))
        return all(any(torch.equal(head, other) for other in others) for head in heads)

    def load_in_place(self, checkpoint: str) -> None:
        """Load another checkpoint's weights, those of a tied head included.

        On a CPU vLLM computes with a packed copy of every matrix. A reload packs what it loads, and
        a head that is tied to the embedding is not loaded: 0.32.0 goes on with the packed head of
        the model before. So embeddings and heads are packed again from what they hold now.
        """
        self.model_runner.reload_weights(weights_path=checkpoint)
        for layer in self.model_runner.get_model().modules():
            if isinstance(layer, VocabParallelEmbedding):
                layer.quant_method.process_weights_after_loading(layer)
