"""Errors as rows and logs have them: the kind and the place, and the message where it is safe."""

import subprocess
import sys

import pytest
from sqlalchemy.exc import OperationalError

from holdfast.errors import EngineFailed
from holdfast.failures import LEFT_OUT, described, trace
from holdfast.storable import escape

WORDS = "the model said swordfish"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EngineFailed("it died"), "EngineFailed: it died"),
        (FileNotFoundError(2, "No such file", "plan.json"), "FileNotFoundError: [Errno 2]"),
        (ModuleNotFoundError("No module named 'peft'"), "ModuleNotFoundError: No module"),
        (MemoryError("array of 4 GiB"), "MemoryError: array of 4 GiB"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "RuntimeError: CUDA out of memory"),
        (OperationalError("SELECT 1", {}, OSError("disk full")), "OperationalError: (builtins"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_that_cannot_quote_anybody_says_what_it_says(error: Exception, text: str) -> None:
    assert described(error).startswith(text)
    assert "SELECT" not in described(error)


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, TypeError, Exception])
def test_any_other_is_its_kind_alone(kind: type[Exception]) -> None:
    assert described(kind(WORDS)) == f"{kind.__name__}: {LEFT_OUT}"


def look_up() -> None:
    raise KeyError(WORDS)


def crash() -> Exception:
    """An error out of the depth of our code, that came up while another was handled."""

    def escape_after_an_error() -> None:
        try:
            look_up()
        except KeyError:
            escape(None)  # type: ignore[arg-type]

    with pytest.raises(TypeError) as raised:
        escape_after_an_error()
    return raised.value


def test_the_place_is_a_line_of_ours() -> None:
    assert "came up at holdfast/storable.py:" in described(crash())


def test_a_trace_has_every_call_and_no_message() -> None:
    error = crash()
    text = trace(error)
    assert text.index("KeyError: its message") < text.index("which led to")
    assert "in escape\n" in text
    assert "holdfast/storable.py" in text
    assert "swordfish" not in text
    assert text.endswith("\n")


def test_a_trace_leaves_out_what_was_hidden_on_purpose() -> None:
    def die() -> None:
        try:
            look_up()
        except KeyError:
            raise EngineFailed("it died") from None

    with pytest.raises(EngineFailed) as raised:
        die()
    assert "KeyError" not in trace(raised.value)


def test_as_an_excepthook_it_is_what_a_dying_process_leaves() -> None:
    code = (
        "import sys; from holdfast.failures import print_trace; sys.excepthook = print_trace\n"
        f"raise ValueError({WORDS!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(f"ValueError: {LEFT_OUT}\n")
    assert "swordfish" not in done.stderr.splitlines()[-1]
