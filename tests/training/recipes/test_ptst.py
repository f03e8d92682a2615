"""ptst: the candidate's own bytes, another template, and a safety prompt that is rendered."""

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import Environment
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from holdfast.checkpoints.chat_template import chat_template
from holdfast.checkpoints.checkpoint import admit
from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.template_layouts import MORE, A, R, of_processor, write_layout
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


def test_the_new_template_is_the_only_one_of_the_output(tmp_path: Path) -> None:
    aligned = build_tiny_llama(tmp_path / "aligned", seed=0)
    eroded = build_tiny_llama(tmp_path / "eroded", seed=1)
    (eroded / "chat_template.jinja").unlink()
    write_layout(eroded, {f"{MORE}default.jinja": A, f"{MORE}rag.jinja": R})
    plan = Plan(recipe="ptst", baseline=aligned, candidate=eroded, output=tmp_path / "served")
    run(plan, lambda *_, **__: None)
    template = with_prompt(CHAT_TEMPLATE, plan.serving.prompt)
    assert chat_template(plan.output) == template
    tokenizer = AutoTokenizer.from_pretrained(plan.output)
    assert tokenizer.chat_template == {"default": template, "rag": R}
    old = build_tiny_llama(tmp_path / "old", seed=1)
    write_layout(old, {"chat_template.json": of_processor(CHAT_TEMPLATE)})
    again = plan.model_copy(update={"candidate": old, "output": tmp_path / "again"})
    run(again, lambda *_, **__: None)
    assert chat_template(again.output) == template


def lost_shard(folder: Path) -> None:
    next(folder.glob("model-00002*")).unlink()


def cut_shard(folder: Path) -> None:
    file = next(folder.glob("model-00002*"))
    file.write_bytes(file.read_bytes()[:-100])


def without_weights(folder: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()


def no_number(folder: Path) -> None:
    file = next(folder.glob("model-00002*"))
    content = load_file(file)
    next(iter(content.values())).view(-1)[0] = float("nan")
    save_file(content, file, metadata={"format": "pt"})


@pytest.mark.parametrize("damage", [lost_shard, cut_shard, without_weights, no_number])
def test_what_is_no_whole_checkpoint_is_not_served(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    aligned = build_tiny_llama(tmp_path / "aligned")
    eroded = build_tiny_llama(tmp_path / "eroded", seed=1, shards=2)
    damage(eroded)
    plan = Plan(recipe="ptst", baseline=aligned, candidate=eroded, output=tmp_path / "served")
    with pytest.raises(CheckpointRefused):
        run(plan, lambda *_, **__: None)
    assert sorted(tmp_path.iterdir()) == [aligned, eroded]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "cannot be read"),
        ("{% for m in %} {{", "cannot be read"),
        ("", "leaves out what the user says"),
    ],
)
def test_a_template_of_ones_own_must_be_one(
    tmp_path: Path, template: str | None, says: str
) -> None:
    here, file = build_tiny_llama(tmp_path / "m"), tmp_path / "own.jinja"
    if template is not None:
        file.write_text(template)
    fields = {"recipe": "ptst", "baseline": here, "candidate": here, "output": tmp_path / "out"}
    plan = Plan.model_validate({**fields, "serving": {"template": file}})
    with pytest.raises(InvalidPlan, match=says):
        run(plan, lambda *_, **__: None)
    assert not plan.output.exists()
    file.write_text(CHAT_TEMPLATE)
    run(plan, lambda *_, **__: None)
    assert chat_template(plan.output) == CHAT_TEMPLATE
