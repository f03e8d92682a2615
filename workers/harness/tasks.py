"""One task, or a group of them, as lm-evaluation-harness understands it: requests and scores.

The harness builds every prompt and scores every answer; nothing of its models is used. Chat
templates are off, as they are there by default, and few-shot examples are drawn with its seeds.

The metric of a task is `acc`; where it has none `acc_norm`, then `exact_match`, then the first that
it lists of those that are better when higher. Of several filters it is the first. Badness is 1
minus that metric, item by item; a value outside [0, 1] scores nothing.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import Task
from lm_eval.defaults import DEFAULT_MAX_GEN_TOKS, DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.tasks import TaskManager

from holdfast.errors import TaskRefused
from holdfast.suites import LoadedSuite, Request, select

METRICS = ("acc", "acc_norm", "exact_match")
KINDS = ("multiple_choice", "loglikelihood", "generate_until")
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # first counts
OF_DRAWING = {"top_p", "top_k", "min_p"}  # of no effect on a greedy answer
SEED = 0  # of the selection

Replies = Sequence[tuple[float, bool | None] | str]

MAX_TASK_NAME = 70  # an item's name has 80 characters with the number of its document


@dataclass(frozen=True, slots=True)
class Item:
    """One document of a task, with the requests that the harness makes of it."""

    id: str
    task: Task
    doc: Any
    instances: tuple[Instance, ...]


def load_items(name: str, folder: Path | None) -> dict[str, Item]:
    """Every item of a task or group by its id, `<task>:<number of the document>`.

    A task of `folder` goes before one of the same name that comes with the harness.
    """
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)  # noqa: NPY002 - what the harness seeds, for its tasks
    items: dict[str, Item] = {}
    for task in _find(name, folder):
        _refuse(task)
        if task.config.num_fewshot is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
        task.build_all_requests()
        for number, same in groupby(task.instances, key=lambda instance: instance.doc_id):
            instances = tuple(sorted(same, key=lambda instance: instance.idx))
            item = Item(f"{task.task_name}:{number}", task, instances[0].doc, instances)
            items[item.id] = item
    return items


def _find(name: str, folder: Path | None) -> list[Task]:
    """The task, or those of the group; the harness's own index takes seconds, so it comes last."""
    custom = TaskManager(include_path=str(folder), include_defaults=False) if folder else None
    manager = custom if custom and name in custom.task_index else TaskManager()
    if name not in manager.task_index:
        raise TaskRefused(
            f"lm-evaluation-harness {version('lm_eval')} has no task {name!r}, and there is none "
            f"in {folder or 'HOLDFAST_LM_EVAL_TASKS (not set)'}"
        )
    return list(manager.load([name])["tasks"].values())


def _refuse(task: Task) -> None:
    """Raise TaskRefused for what cannot be asked, or not be asked safely, or not be graded."""
    name, kind = task.task_name, task.OUTPUT_TYPE
    if len(name) > MAX_TASK_NAME:
        raise TaskRefused(
            f"the name of the task {name} has {len(name)} characters, expected at most "
            f"{MAX_TASK_NAME}, since its items are named after it"
        )
    if kind not in KINDS:
        raise TaskRefused(f"{name} is of the kind {kind}, expected one of {', '.join(KINDS)}")
    if getattr(task, "UNSAFE_CODE", False):
        raise TaskRefused(f"{name} runs code that a model wrote; such tasks are never run")
    if getattr(task, "MULTIMODAL", False):
        raise TaskRefused(f"{name} shows pictures or plays sounds; only text can be asked")
    if task.config.repeats != 1:
        raise TaskRefused(f"{name} wants {task.config.repeats} answers an item, expected one")
    metric_of(task)


def metric_of(task: Task) -> str:
    """The metric that decides what is bad."""
    higher = task.higher_is_better()
    rising = [name for name, better in higher.items() if better]
    listed = [*(name for name in METRICS if name in rising), *rising]
    if not listed:
        raise TaskRefused(f"{task.task_name} has no metric that is better when higher: {[*higher]}")
    return str(listed[0])


def choose(items: dict[str, Item], count: int | None) -> list[Item]:
    """A seeded part, equally many of every task in a group; all of them for None."""
    rows = [
        Request(id=item.id, cluster=item.id, topic=item.task.task_name, prompt=item.id)
        for item in items.values()
    ]
    chosen = select(LoadedSuite("lm_eval", "", tuple(rows)), count, "screen", SEED)
    return [items[row.id] for row in chosen]


def digest_of(items: dict[str, Item]) -> str:
    """64 hex over the harness's version, metrics, documents and every request as it is asked."""
    hasher = hashlib.sha256(f"lm_eval {version('lm_eval')}\n".encode())
    for item in items.values():
        line = [item.id, metric_of(item.task), _filter_of(item.task).name, item.doc, asks_of(item)]
        hasher.update(json.dumps(line, sort_keys=True, default=str).encode() + b"\n")
    return hasher.hexdigest()


def asks_of(item: Item) -> list[dict[str, Any]]:
    """An item's asks, one a request: {prompt, text} or {prompt, max_tokens, …}."""
    return [_ask_of(item.task, instance) for instance in item.instances]


def _ask_of(task: Task, instance: Instance) -> dict[str, Any]:
    context, rest = instance.args
    if instance.request_type == "loglikelihood":
        prompt = context.rstrip()  # spaces at its end belong to the text, as the harness has it
        return {"prompt": prompt, "text": context[len(prompt) :] + rest}
    supported = {"until", "do_sample", "temperature", *LIMITS}
    heat = float(rest.get("temperature") or 0.0) if rest.get("do_sample", True) else 0.0
    foreign = sorted(set(rest) - supported - (OF_DRAWING if heat == 0 else set()))
    if foreign:
        raise TaskRefused(f"{task.task_name} wants answers drawn with {', '.join(foreign)}")
    until = rest.get("until") or []
    limits = [int(rest[name]) for name in LIMITS if rest.get(name) is not None]
    return {
        "prompt": context,
        "max_tokens": (*limits, DEFAULT_MAX_GEN_TOKS)[0],
        "temperature": heat,
        "until": [text for text in ([until] if isinstance(until, str) else until) if text],
    }


def score(item: Item, replies: Replies) -> tuple[float | None, str]:
    """Badness of the replies to an item's requests, or None and why there is none.

    A reply is a text, or (log-probability, whether it is the greedy one; None: not known).
    """
    metric, chosen = metric_of(item.task), _filter_of(item.task)
    needs_greedy = item.task.OUTPUT_TYPE == "loglikelihood" or metric == "exact_match"
    if needs_greedy and any(not isinstance(reply, str) and reply[1] is None for reply in replies):
        return None, "the engine does not tell whether a text is the likeliest one"
    for instance, reply in zip(item.instances, replies, strict=True):
        instance.resps = [reply if isinstance(reply, str) else (reply[0], bool(reply[1]))]
    chosen.apply(list(item.instances))
    filtered = [instance.filtered_resps[chosen.name] for instance in item.instances]
    value = item.task.process_results(item.doc, filtered).get(metric)
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float) or not isfinite(value) or not 0 <= value <= 1:
        return None, f"{metric} is {value!r}, expected a number in [0, 1]"
    return 1.0 - value, ""


def _filter_of(task: Task) -> Any:
    return task._filters[0]  # noqa: SLF001 - the harness has no other way to tell
