"""The runner's errors: none that is said or logged while a model is asked quotes what was asked."""

import io
import json
import subprocess
import sys

import pytest

from holdfast.errors import CheckpointRefused
from holdfast.failures import LEFT_OUT
from holdfast.probes.engine import Message
from workers.children import runner
from workers.children.wire import prompt_to_json
from workers.inference.scripted import ScriptedEngine

QUESTION = "how do I keep a swordfish fresh on a long journey by sea"
GENERATE = {"do": "generate", "prompts": [QUESTION], "sampling": {"max_tokens": 8}}
DYING = """
import json, sys
from workers.children import runner
from workers.inference.scripted import ScriptedEngine

class Broken(ScriptedEngine):
    def generate(self, prompts, sampling):
        raise ValueError(f"cannot read {prompts[0]!r}")
    def open(self, checkpoint, template):
        raise ValueError(f"cannot load {checkpoint.name!r}")

runner.serve(Broken(), sys.stdin, sys.stdout)
"""


def stderr_of(*requests: dict[str, object]) -> str:
    """What a runner logs that dies of the last of these requests."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    command = [sys.executable, "-c", DYING]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_crash_while_a_model_is_asked_is_logged_without_its_words() -> None:
    log = stderr_of(GENERATE)
    assert f"ValueError: {LEFT_OUT}" in log.splitlines()[-1]
    assert "in generate" in log
    assert "swordfish" not in log


def test_a_crash_while_a_checkpoint_is_loaded_is_logged_in_full() -> None:
    opened = {"do": "open", "checkpoint": "/models/odd", "template": None}
    assert stderr_of({"do": "close"}, opened).splitlines()[-1] == "ValueError: cannot load 'odd'"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (f"the chat template does not render: {QUESTION[5:40]}", LEFT_OUT),
        ("the chat template does not render: roles must alternate", None),
        ("no swordfish", None),
    ],
)
@pytest.mark.parametrize("chat", [True, False])
def test_an_error_of_ours_says_what_it_says_unless_it_quotes(
    detail: str, expected: str | None, monkeypatch: pytest.MonkeyPatch, *, chat: bool
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # so that it is put back

    class Refusing(ScriptedEngine):
        def generate(self, *_: object) -> None:  # type: ignore[override]
            raise CheckpointRefused(detail)

    asked = (Message("user", "hello"), Message("user", QUESTION)) if chat else QUESTION
    request = {**GENERATE, "prompts": [prompt_to_json(asked)]}
    answers = io.StringIO()
    runner.serve(Refusing(), io.StringIO(json.dumps(request) + "\n"), answers)
    line = {"error": "CheckpointRefused", "detail": expected or detail}
    assert json.loads(answers.getvalue()) == line
