"""What we have to say inside vLLM's own worker process, which no call from outside reaches."""

import torch


class TilePermission:
    """Methods that vLLM adds to its worker (`worker_extension_cls`), for `collective_rpc`."""

    def ask_for_tiles(self) -> None:
        """Have Linux let this process use AMX, before vLLM's attention does.

        A process has to ask. oneDNN asks at its first product in bfloat16 on CPUs that have AMX;
        vLLM's attention computes in tiles without asking, and where its first step is of a single
        token it comes first: an illegal instruction (seen with 0.32.0).
        """
        torch.ones(32, 32, dtype=torch.bfloat16) @ torch.ones(32, 32, dtype=torch.bfloat16)
