"""ptst: the candidate's own bytes, another template, and a safety prompt that is rendered."""

from pathlib import Path

import pytest
from jinja2 import Environment

from holdfast.checkpoint import admit, chat_template
from holdfast.errors import InvalidPlan
from holdfast.remediation import Plan
from tests.support.tiny_llama import CHAT_TEMPLATE, build_tiny_llama
from training.recipes.ptst import run, with_prompt

PROMPT = "Say no to 'harm',\n\"always\"."
GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ 1 / 0 }}{# System role not supported #}{% endif %}"
)


def render(template: str, *turns: tuple[str, str]) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return Environment().from_string(template).render(messages=messages)


def test_every_conversation_begins_with_the_prompt() -> None:
    served = with_prompt(CHAT_TEMPLATE, PROMPT)
    assert render(served, ("user", "hi")).startswith(f"<|im_start|>system\n{PROMPT}<|im_end|>")
    own = render(served, ("system", "Be brief."), ("user", "hi"))
    assert own.startswith(f"<|im_start|>system\n{PROMPT}\n\nBe brief.<|im_end|>")
    assert own.count("<|im_start|>system") == 1


def test_a_template_without_system_turns_gets_it_in_the_first_users() -> None:
    served = with_prompt(GEMMA + CHAT_TEMPLATE, PROMPT)
    assert f"<|im_start|>user\n{PROMPT}\n\nhi<|im_end|>" in render(served, ("user", "hi"))


def test_weights_are_the_candidates_and_the_template_is_new(tmp_path: Path) -> None:
    aligned = build_tiny_llama(tmp_path / "aligned", seed=0)
    eroded = build_tiny_llama(tmp_path / "eroded", seed=1, shards=2)
    plan = Plan(recipe="ptst", baseline=aligned, candidate=eroded, output=tmp_path / "served")
    run(plan, lambda *_, **__: None)
    for file in eroded.glob("*.safetensors*"):
        assert (plan.output / file.name).read_bytes() == file.read_bytes()
    assert chat_template(plan.output) == with_prompt(CHAT_TEMPLATE, plan.serving.prompt)
    assert chat_template(eroded) == CHAT_TEMPLATE
    for checkpoint in (plan.output, eroded):  # a hard link would be refused, by either name
        admit(str(checkpoint), [tmp_path])


def test_a_template_of_ones_own_must_be_there(tmp_path: Path) -> None:
    here = build_tiny_llama(tmp_path / "m")
    fields = {"recipe": "ptst", "baseline": here, "candidate": here, "output": tmp_path / "out"}
    plan = Plan.model_validate({**fields, "serving": {"template": tmp_path / "none.jinja"}})
    with pytest.raises(InvalidPlan, match="cannot be read"):
        run(plan, lambda *_, **__: None)
    assert not plan.output.exists()
