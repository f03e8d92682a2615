"""The child that holds one engine: `python -m workers.children.runner ENGINE`, by the guard.

It reads requests from standard input and writes answers to standard output. Model libraries print
too, so the real standard output is put aside at once and what they print goes to the log. It knows
no database, broker, key or suite. An error that is ours to name goes back as an answer; any other
ends the process, with its traceback in the log: an engine in an unknown state answers nothing. What
libraries say of a checkpoint is logged in full, what they say while a model is asked is not: there
they quote prompts and completions.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from holdfast.errors import HoldfastError
from holdfast.failures import LEFT_OUT, full_disk, print_trace
from holdfast.probes.engine import Engine, Sampling
from workers.children.wire import (
    continuations_from_json,
    prompt_from_json,
    receive,
    reply_to_json,
    send,
    texts_of,
)
from workers.inference import open_engine
from workers.inference.backends import Devices, backend_of

ASKING = ("generate", "logprobs")
QUOTE = 24  # characters in a row that an error and a question do not share by chance

# transformers imports it for assisted decoding, which nobody asks for here: 1.7 s of every start
sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]


def main() -> None:
    """Serve until the end of the requests."""
    parser = argparse.ArgumentParser(prog="python -m workers.children.runner")
    parser.add_argument("engine", choices=("vllm", "transformers", "scripted"))
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("--devices", type=json.loads, default={})
    options = parser.parse_args()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    devices = Devices(**options.devices)
    backend = backend_of(
        options.engine, options.dtype, options.max_model_len, devices.tensor_parallel
    )
    engine = open_engine(options.engine, backend, devices)
    try:
        serve(engine, sys.stdin, answers)
    finally:
        engine.close()


def serve(engine: Engine, requests: IO[str], answers: IO[str]) -> None:
    """Answer one request after the other."""
    while (request := receive(requests)) is not None:
        sys.excepthook = print_trace if request.get("do") in ASKING else sys.__excepthook__
        try:
            answer(engine, request, answers)
        except OSError as error:
            if (full := full_disk(error)) is None:
                raise
            send(answers, {"error": full.title, "detail": str(full)})
        except HoldfastError as error:
            send(answers, {"error": type(error).__name__, "detail": unquoted(str(error), request)})
        else:
            send(answers, {"done": True, "notes": engine.take_notes()})


def unquoted(detail: str, request: dict[str, Any]) -> str:
    """The detail of an error; LEFT_OUT where it quotes what was asked, as a template's may."""
    words = "\n".join(texts_of([request.get("prompts"), request.get("asked")]))
    pieces = (detail[start : start + QUOTE] for start in range(len(detail) - QUOTE + 1))
    return LEFT_OUT if any(piece in words for piece in pieces) else detail


def answer(engine: Engine, request: dict[str, Any], answers: IO[str]) -> None:
    """Do what one request asks for and stream its replies."""
    match request:
        case {"do": "backend"}:
            send(answers, {"index": 0, "reply": asdict(engine.backend)})
        case {"do": "examine", "checkpoint": checkpoint}:
            engine.examine(Path(checkpoint))
        case {"do": "open", "checkpoint": checkpoint, "template": template}:
            engine.open(Path(checkpoint), template)
        case {"do": "generate", "prompts": prompts, "sampling": sampling}:
            conversations = [prompt_from_json(prompt) for prompt in prompts]
            for index, completion in engine.generate(conversations, Sampling.from_json(sampling)):
                send(answers, reply_to_json(index, completion))
        case {"do": "logprobs", "asked": continuations, "arguments": arguments}:
            template_arguments = tuple(arguments.items())
            for index, score in engine.logprobs(
                continuations_from_json(continuations), template_arguments
            ):
                send(answers, reply_to_json(index, score))
        case {"do": "close"}:
            engine.close()
        case _:
            raise ValueError(f"request {request.get('do')!r} is none that a supervisor sends")


if __name__ == "__main__":
    main()
