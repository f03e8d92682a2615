"""vLLM's engine, stepped until every request has come back.

A call that is left half-way, by an error or by a caller that wants no more, takes its requests with
it: they would be answered in the next call, under its indices, and would keep a reload from
dropping the prefix cache.
"""

from collections.abc import Generator, Mapping
from typing import Any

Requests = Mapping[int, tuple[list[int], Any]]  # token ids and SamplingParams by index


def step_through(engine: Any, requests: Requests) -> Generator[tuple[int, Any], None, None]:
    """Put token ids to an `LLMEngine` and yield each finished output with its index."""
    added: list[str] = []
    finished = False
    try:
        for index, (ids, params) in requests.items():
            added.append(engine.add_request(f"{index}", {"prompt_token_ids": ids}, params))
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    yield int(output.request_id), output
        finished = True
    finally:
        if not finished:
            engine.abort_request(added, internal=True)
