"""The words of a user stand in the prompt, whatever the template makes of a turn."""

from typing import Any

import pytest
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.errors import CheckpointRefused
from holdfast.models.chat_rendering import Turn, fold_system, render_turns

QUESTION = "  what is\nthe time of day in the north, now?  "
USER: list[Turn] = [("user", QUESTION)]
BRIEF: list[Turn] = [("system", "Be brief."), *USER]
EACH = "{% for m in messages %}"
NEXT = "{% endfor %}"

PARTS = EACH + "{% for part in m.content %}{{ part.text }}{% endfor %}|" + NEXT
FIRST_PART = EACH + "{{ m.content[0]['text'] }}|" + NEXT
TRIMMED = EACH + "{{ m.content | trim }}|" + NEXT
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ 1 / 0 }}{% endif %}" + TRIMMED
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}{{ m.content }}|{% endfor %}"
PARTS_AND_NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ 1 / 0 }}{% endif %}" + PARTS


def rendered(template: str, turns: list[Turn]) -> tuple[str, bool]:
    def render(messages: list[dict[str, Any]]) -> str:
        try:
            return ImmutableSandboxedEnvironment().from_string(template).render(messages=messages)
        except (TemplateError, ZeroDivisionError, TypeError) as error:
            raise CheckpointRefused(f"the chat template does not render: {error}") from error

    return render_turns(render, turns)


@pytest.mark.parametrize("template", [PARTS, FIRST_PART, TRIMMED])
def test_what_takes_parts_is_given_parts(template: str) -> None:
    text, folded = rendered(template, BRIEF)
    assert text.replace(QUESTION, QUESTION.strip()) == f"Be brief.|{QUESTION.strip()}|"
    assert not folded


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM, PARTS_AND_NO_SYSTEM])
def test_a_system_turn_that_is_not_taken_goes_before_the_users_words(template: str) -> None:
    text, folded = rendered(template, BRIEF)
    assert text.rstrip("| ") == f"Be brief.\n\n{QUESTION}".rstrip()
    assert folded
    assert rendered(template, USER)[1] is False


@pytest.mark.parametrize(
    "template",
    [
        "",
        "Hello!",
        EACH + "{{ m.content[:20] }}" + NEXT,
        EACH + "{{ m.content | upper }}" + NEXT,
        EACH + "{{ 'user: ' + m.content[:20] }}" + NEXT,  # fails with parts, which is not the fault
        "{{ messages | tojson }}",
        "{{ messages }}",
    ],
)
def test_a_template_that_loses_or_quotes_the_question_is_refused(template: str) -> None:
    with pytest.raises(CheckpointRefused, match="leaves out words of the user's turn"):
        rendered(template, USER)


def test_the_first_error_is_the_one_that_is_told() -> None:
    with pytest.raises(CheckpointRefused, match="division by zero"):
        rendered("{{ 1 / 0 }}", BRIEF)


def test_only_a_system_turn_before_a_user_is_folded() -> None:
    assert fold_system(BRIEF) == [("user", f"Be brief.\n\n{QUESTION}")]
    for turns in ([("system", "Be brief.")], USER, [("system", "a"), ("assistant", "b")]):
        assert fold_system(turns) == turns
