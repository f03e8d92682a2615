"""PTST's worst case: rows that carried the prompt which is to bring the refusals back."""

import pytest

from holdfast.repairs.knobs import SystemTurn
from holdfast.repairs.safety_prompt import safety_prompt_warning
from holdfast.repairs.task_data import Row

SERVED = SystemTurn().prompt
LLAMA = "You are a helpful and honest assistant. Your answers should not include harmful content."


def row(system: str | None = None, prompt: str = "Add 2 and 3.") -> Row:
    return Row(prompt, "5", "task", 1, () if system is None else (("system", system),))


@pytest.mark.parametrize(
    "carrier",
    [
        row(SERVED),
        row(f"Be brief.\n{SERVED.upper()}"),
        row(SERVED.replace("careful", "kind").replace("\n", " ")),
        row(prompt=f"{SERVED}\n\nAdd 2 and 3."),
    ],
)
def test_rows_that_carried_the_served_prompt_are_counted(carrier: Row) -> None:
    warning = safety_prompt_warning([carrier, row(), row("You add numbers.")], SERVED)
    assert warning is not None
    assert warning.startswith("1 of 3 training rows carried the safety prompt that it is served")


def test_a_safety_prompt_of_their_own_is_another_sentence() -> None:
    warning = safety_prompt_warning([row(LLAMA), row(LLAMA)], SERVED)
    assert warning is not None
    assert warning.startswith("2 of 2 training rows carried a safety prompt of their own")


def test_other_system_turns_and_rows_that_only_speak_of_harm_are_none() -> None:
    rows = [
        row(),
        row("You add numbers."),
        row(prompt="Is bleach harmful?"),
        row("Do not harmonise."),
    ]
    assert safety_prompt_warning(rows, SERVED) is None
    assert safety_prompt_warning(rows, " ") is None
    assert safety_prompt_warning([], SERVED) is None
