"""The environment of a child process: where programs and devices are, and no secret.

Every child that computes gets this environment and nothing else: the runner, what trains, what
measures, what holds a task. So what an operator sets to choose instructions, threads or devices
reaches all of them alike.
"""

from collections.abc import Mapping
from pathlib import Path

from workers.children.threads import PROCESSES

ARITHMETIC_PREFIXES = ("ATEN_", "ONEDNN_", "DNNL_", "MKL_")  # which instructions are used
PASSED_NAMES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    PROCESSES,
)
PASSED_PREFIXES = (
    *("CUDA_", "NVIDIA_", "NCCL_"),
    *("OMP_", "GOMP_", "KMP_", "VLLM_CPU_"),
    *ARITHMETIC_PREFIXES,
)
FIXED = {
    "PYTHONSAFEPATH": "1",  # users' repositories hold folders named `workers` too
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TQDM_DISABLE": "1",
    # vLLM gives up a step after 300 s and a start after 600 s, however busy its processes are;
    # whether they still compute is our supervisor's to see (workers/children/progress.py)
    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "86400",
    "VLLM_ENGINE_READY_TIMEOUT_S": "86400",
    # behind the walls there is no other address (workers/children/walls)
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
}
CACHES = {  # what else libraries keep in a user's home, which the walls shut
    "XDG_CACHE_HOME": "",
    "XDG_CONFIG_HOME": "config",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "NUMBA_CACHE_DIR": "numba",
    "CUDA_CACHE_PATH": "cuda",
    "FLASHINFER_WORKSPACE_BASE": "",
}


def runner_environment(
    home: Path, environment: Mapping[str, str], device_env: Mapping[str, str]
) -> dict[str, str]:
    """A child's environment, from its worker's: a short list of names, and what we add to them."""
    passed = {
        name: value
        for name, value in environment.items()
        if name in PASSED_NAMES or name.startswith(PASSED_PREFIXES)
    }
    caches = {name: str(home / "cache" / folder) for name, folder in CACHES.items()}
    return {**passed, **FIXED, **caches, **device_env}
