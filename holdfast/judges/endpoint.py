"""A judge behind an OpenAI-compatible endpoint: a guard model, or a grader with a rubric.

One request an answer at temperature 0. Timeouts, refused connections, 429 and 5xx are tried again
with growing pauses (or the server's Retry-After); a reply that does not parse is asked for once
more; what is still in doubt is unscored, with a reason. A budget in calls and tokens bounds what a
run may cost. An endpoint that is set up wrongly, or stays silent for several answers, is an error:
hundreds of unscored answers would say the same, later and dearer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, Self, TypeVar

import httpx

from holdfast.errors import InvalidSettings, JudgeFailed, Unreachable
from holdfast.judges import HERE
from holdfast.judges.forms import GUARD_FORMS, RUBRIC_FORM, JudgeForm, Messages, ask
from holdfast.judges.judgement import Judgement
from holdfast.judges.preference import Preference, ask_which, read_which
from holdfast.retries import Backoff, send_with_retries
from holdfast.settings import Settings

RETRIED_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504}  # another try may cure them
SILENT_ANSWERS = 3  # in a row, after which the endpoint counts as gone
PARSES = 2  # replies that are read before the answer is unscored
FROZEN_SOURCE = HERE / "endpoint.identity"  # of version 1: the source as it was hashed then
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A judge's address and model; `url` ends before /chat/completions, budgets are of one run."""

    url: str
    model: str
    form: JudgeForm
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    tries: int = 4
    max_calls: int = 20_000
    max_tokens: int = 20_000_000

    @property
    def sha256(self) -> str:
        """The judge's identity, 64 hex: version, model name and form; not the place.

        Another version when it decides otherwise (tools/judge_identity), not when its files move.
        """
        named_form = f"{self.model}\n{self.form.text}\n".encode()
        return sha256(named_form + FROZEN_SOURCE.read_bytes()).hexdigest()


def endpoint_of(judge: str, settings: Settings, environment: Mapping[str, str]) -> Endpoint:
    """The `guard` or `rubric` judge as set up; raises InvalidSettings naming what is missing."""
    if settings.judge_url is None or settings.judge_model is None:
        raise InvalidSettings(
            f"the judge {judge} needs HOLDFAST_JUDGE_URL (an OpenAI-compatible API, up to and with "
            "its /v1) and HOLDFAST_JUDGE_MODEL"
        )
    key = settings.judge_key_variable
    if key is not None and not environment.get(key):
        raise InvalidSettings(f"HOLDFAST_JUDGE_KEY_VARIABLE names {key}, which is not set")
    return Endpoint(
        url=settings.judge_url,
        model=settings.judge_model,
        form=RUBRIC_FORM if judge == "rubric" else GUARD_FORMS[settings.judge_form],
        key=environment[key] if key else None,
        timeout_seconds=settings.judge_timeout_seconds,
        max_calls=settings.judge_calls,
        max_tokens=settings.judge_tokens,
    )


class EndpointJudge:
    """A judge that asks an endpoint; use it in a `with`, and its `read` as any other judge."""

    def __init__(self, endpoint: Endpoint, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Open an HTTP client; nothing is sent before the first answer."""
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        self.endpoint = endpoint
        self.calls = self.tokens = 0
        self._silent = 0
        self._pause = pause
        self._client = httpx.Client(
            base_url=endpoint.url.rstrip("/") + "/",
            headers=headers,
            timeout=endpoint.timeout_seconds,
        )

    def __enter__(self) -> Self:
        """Return the judge; there is nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, prompt: str, completion: str) -> Judgement:
        """Judge one answer; unscored on any doubt. Raises JudgeFailed, Unreachable."""
        if not completion.strip():
            return Judgement("unscored", "empty completion")
        form = self.endpoint.form
        messages, mark = ask(form, prompt, completion)
        return self._ask_and_parse(messages, lambda reply: form.parse(reply, mark))

    def compare(self, request: str, first: str, second: str) -> Preference | Judgement:
        """Which of two answers is better, in this order; a judgement only where that is unscored.

        Raises JudgeFailed, Unreachable.
        """
        messages, mark = ask_which(request, first, second)
        return self._ask_and_parse(messages, lambda reply: read_which(reply, mark))

    def _ask_and_parse(
        self, messages: Messages, parse: Callable[[str], _Parsed | None]
    ) -> _Parsed | Judgement:
        for _ in range(PARSES):
            reply = self._reply(messages)
            if isinstance(reply, Judgement):
                return reply
            parsed = parse(reply)
            if parsed is not None:
                return parsed
        name = self.endpoint.form.name
        return Judgement("unscored", f"the judge's reply is not in the form that {name} asks for")

    def _reply(self, messages: Messages) -> str | Judgement:
        """The text of a reply, or why there is none."""
        calls_left = self.endpoint.max_calls - self.calls
        if calls_left <= 0 or self.tokens >= self.endpoint.max_tokens:
            return Judgement("unscored", "the judge's budget of calls or tokens is spent")
        backoff = Backoff(min(self.endpoint.tries, calls_left), first_pause=0.5, longest_pause=20.0)
        outcome = send_with_retries(
            partial(self._post, messages), backoff, _worth_another_try, self._pause
        )
        if isinstance(outcome, httpx.TransportError):
            return self._give_up(type(outcome).__name__)
        problem = f"HTTP {outcome.status_code}"
        if _worth_another_try(outcome):
            return self._give_up(problem)
        if not outcome.is_success:
            raise JudgeFailed(
                f"the judge at {self.endpoint.url} answered {problem} to model "
                f"{self.endpoint.model}; check its URL, model name and key"
            )
        self._silent = 0
        return self._text(outcome)

    def _post(self, messages: Messages) -> httpx.Response:
        self.calls += 1
        return self._client.post(self._path, json=self._body(messages))

    def _give_up(self, problem: str) -> Judgement:
        self._silent += 1
        if self._silent >= SILENT_ANSWERS:
            raise Unreachable(
                f"the judge at {self.endpoint.url} did not answer {self._silent} times in a row, "
                f"each after {self.endpoint.tries} tries ({problem})"
            )
        return Judgement("unscored", f"the judge did not answer ({problem})")

    @property
    def _path(self) -> str:
        return "completions" if self.endpoint.form.raw else "chat/completions"

    def _body(self, messages: Messages) -> dict[str, Any]:
        prompt = {"prompt": messages[0]["content"]} if self.endpoint.form.raw else {}
        return {
            "model": self.endpoint.model,
            **(prompt or {"messages": messages}),
            "temperature": 0,
            "max_tokens": self.endpoint.form.max_tokens,
            "seed": 0,
        }

    def _text(self, response: httpx.Response) -> str:
        """The reply's text; "" where the document is not what the API promises."""
        try:
            document = response.json()
            choice = document["choices"][0]
            text = choice["text"] if self.endpoint.form.raw else choice["message"]["content"]
            used = (document.get("usage") or {}).get("total_tokens", 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return ""
        self.tokens += used if isinstance(used, int) else 0
        return text if isinstance(text, str) else ""


def _worth_another_try(response: httpx.Response) -> bool:
    return response.status_code in RETRIED_STATUSES
