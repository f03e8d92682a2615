"""Train without a safety prompt, serve with one: the candidate's weights under another template.

What fine-tuning forgets, a safety prompt in the system turn often brings back, if the training did
without it (Lyu et al. 2024, PTST, https://arxiv.org/abs/2402.18540). No weight changes, so what is
judged is the deployed combination: these weights with this template. Knobs: `serving.prompt`, the
system turn of conversations that bring none (one that they bring comes after it), and
`serving.template`, a file with a whole template of one's own. Without one the baseline's is used.
"""

import json
import shutil

from holdfast.checkpoint import chat_template
from holdfast.errors import InvalidPlan
from holdfast.remediation import Plan
from training.output import copy_companions, whole_or_absent
from training.progress import Report
from training.shards import read_object

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
    with whole_or_absent(plan.output) as folder:
        copy_companions(plan.candidate, folder)
        for file in sorted(plan.candidate.glob("*.safetensors*")):
            shutil.copyfile(file, folder / file.name)
            report("note", text=f"{file.name} copied")
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return {"final_loss": None, "effective_ratio": 1.0}


def template_of(plan: Plan) -> str:
    """The file's, or the baseline's own behind a safety prompt."""
    if plan.serving.template is not None:
        try:
            return plan.serving.template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidPlan(
                f"template {plan.serving.template} cannot be read: {error}"
            ) from error
    own = chat_template(plan.baseline)
    if own is None:
        raise InvalidPlan(f"{plan.baseline} has no chat template to put a safety prompt into")
    return with_prompt(own, plan.serving.prompt)


def with_prompt(template: str, prompt: str) -> str:
    """The template, with the prompt as the system turn of every conversation.

    A template that refuses system turns gets it at the beginning of the first user's.
    """
    said = json.dumps(prompt, ensure_ascii=False)
    role = "user" if NO_SYSTEM_TURN in template.lower() else "system"
    return (
        f"{{%- set safety = {said} -%}}"
        f"{{%- if messages and messages[0]['role'] == '{role}' -%}}"
        f"{{%- set messages = [{{'role': '{role}', "
        "'content': safety + '\\n\\n' + messages[0]['content']}] + messages[1:] -%}"
        "{%- else -%}"
        f"{{%- set messages = [{{'role': '{role}', 'content': safety}}] + messages -%}}"
        f"{{%- endif -%}}{template}"
    )
