"""No request stays behind a call that is left half-way.

vLLM's own engine is stood in for, since a start takes most of a minute; `make check-families` drops
a call on the real one.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from workers.inference.vllm.stepping import step_through

THREE: dict[int, Any] = {index: ([index + 1], None) for index in range(3)}


class LLMEngine:
    """Finishes one request a step, and knows each by a name of its own, as vLLM's does."""

    def __init__(self) -> None:
        self.unfinished: dict[str, str] = {}

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: None) -> str:
        if not prompt["prompt_token_ids"]:
            raise ValueError("an empty prompt")
        self.unfinished[f"{request_id}-internal"] = request_id
        return f"{request_id}-internal"

    def has_unfinished_requests(self) -> bool:
        return bool(self.unfinished)

    def step(self) -> list[SimpleNamespace]:
        request_id = self.unfinished.pop(next(iter(self.unfinished)))
        return [SimpleNamespace(request_id=request_id, finished=True)]

    def abort_request(self, request_ids: list[str], *, internal: bool) -> None:
        assert internal
        for request_id in request_ids:
            self.unfinished.pop(request_id, None)


def test_every_request_comes_back_once() -> None:
    assert [index for index, _ in step_through(LLMEngine(), THREE)] == [0, 1, 2]


def test_a_call_that_is_dropped_leaves_no_request_behind() -> None:
    engine = LLMEngine()
    call = step_through(engine, THREE)
    assert next(iter(call))[0] == 0
    assert engine.has_unfinished_requests()
    call.close()
    assert not engine.has_unfinished_requests()


def test_a_call_that_fails_leaves_no_request_behind() -> None:
    engine = LLMEngine()
    with pytest.raises(ValueError, match="an empty prompt"):
        list(step_through(engine, THREE | {3: ([], None)}))
    assert not engine.has_unfinished_requests()
