"""Train without a safety prompt, serve with one: the candidate's weights under another template.

What fine-tuning forgets, a safety prompt in the system turn often brings back, if the training did
without it (Lyu et al. 2024, PTST, https://arxiv.org/abs/2402.18540). No weight changes, so what is
judged is the deployed combination: these weights with this template. Knobs: `serving.prompt`, the
system turn of conversations that bring none (one that they bring comes after it), and
`serving.template`, a file with a whole template of one's own. Without one the baseline's is used.
"""

import json
import shutil
from pathlib import Path

from jinja2 import TemplateError

from holdfast.checkpoints.chat_template import chat_template
from holdfast.checkpoints.model_files import INDEX, TEMPLATE_FOLDER
from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.merging.streaming import read_alike
from training.progress import Report
from training.weights.output import atomic_folder, copy_companions
from training.weights.shards import read_object, read_spans
from training.weights.vocabulary import refuse_another_vocabulary

NO_SYSTEM_TURN = "system role not supported"  # what templates without one raise, in any case


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the candidate with its new template.

    The weights are copied: a hard link would let either name change the other's bytes, which is
    why admission refuses both.
    """
    if plan.candidate is None:
        raise InvalidPlan("recipe ptst serves a candidate, but the plan names none")
    read_object(plan.candidate / "config.json")  # says what is wrong with a folder that is none
    template = template_of(plan)
    if plan.serving.template is None:  # the baseline's speaks of its own tokens
        refuse_another_vocabulary(plan.baseline, plan.candidate)
    spans = read_spans(plan.candidate)
    for _ in read_alike((plan.candidate,), (spans,)):
        pass  # refuses what is no number: a copy is to be as sound as what the other recipes write
    with atomic_folder(plan.output) as folder:
        copy_companions(plan.candidate, folder)
        for name in sorted({span.file for span in spans.values()} | {INDEX}):
            if (plan.candidate / name).is_file():  # a model in one file has no index
                shutil.copyfile(plan.candidate / name, folder / name)
                report("note", text=f"{name} copied")
        write_template(folder, template)
    return {"final_loss": None, "effective_ratio": 1.0}


def write_template(folder: Path, template: str) -> None:
    """Make this the one template of a folder, whatever others were copied into it."""
    (folder / TEMPLATE_FOLDER / "default.jinja").unlink(missing_ok=True)
    (folder / "chat_template.json").unlink(missing_ok=True)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def template_of(plan: Plan) -> str:
    """The plan's template file, or the baseline's template with a safety prompt."""
    if plan.serving.template is not None:
        return template_in(plan.serving.template)
    read_object(plan.baseline / "config.json")
    template = chat_template(plan.baseline)
    if template is None:
        raise InvalidPlan(f"{plan.baseline} has no chat template to put a safety prompt into")
    return with_prompt(template, plan.serving.prompt)


def template_in(file: Path) -> str:
    """Read a template file; InvalidPlan if it cannot render a conversation."""
    from transformers.utils.chat_template_utils import render_jinja_template

    greeting = [{"role": "user", "content": "Hello"}]
    try:
        template = file.read_text(encoding="utf-8")
        rendered = render_jinja_template([greeting], chat_template=template)[0][0]
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise InvalidPlan(f"template {file} cannot be read: {error}") from error
    if "Hello" not in rendered:
        raise InvalidPlan(f"template {file} leaves out what the user says; give a chat template")
    return template


def with_prompt(template: str, prompt: str) -> str:
    """The template, with the prompt as the system turn of every conversation.

    A template that refuses system turns gets it at the beginning of the first user's.
    """
    literal = json.dumps(prompt, ensure_ascii=False)
    role = "user" if NO_SYSTEM_TURN in template.lower() else "system"
    return (
        f"{{%- set safety = {literal} -%}}"
        f"{{%- if messages and messages[0]['role'] == '{role}' -%}}"
        f"{{%- set messages = [{{'role': '{role}', "
        "'content': safety + '\\n\\n' + messages[0]['content']}] + messages[1:] -%}"
        "{%- else -%}"
        f"{{%- set messages = [{{'role': '{role}', 'content': safety}}] + messages -%}}"
        f"{{%- endif -%}}{template}"
    )
