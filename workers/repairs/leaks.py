"""No repair trains on what its gate asks: looked at before a plan is written.

A row that says almost the same as an item of the gate would teach the test, and the repair would
pass for having seen it. Both splits count, since the one picks repairs and the other confirms them.
What is compared are the prompts, by the words that they share (holdfast/suites/duplicates.py); what
of the task data is held out trains nothing and may say what it likes.

Refusals name ids and lines, never texts: what the gate asks does not belong into a log.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import InvalidPlan, InvalidTaskData
from holdfast.probes.items import suite_for
from holdfast.probes.table import spec_of
from holdfast.repairs.task_data import held_out, read_task_data
from holdfast.suites import Choice, Request, Row, load_suite
from holdfast.suites.duplicates import near_duplicates, text_of
from workers.evaluation.case import Case, Repair

POOL = "rehearsal"
SHOWN = 5  # leaks that a refusal names

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Gated:
    """An item that the gate asks, by its texts; `name` is suite and id.

    Where the answer is a `number`, other numbers make another item: the same form is practice.
    """

    name: str
    texts: tuple[str, ...]
    number: bool = False


def refuse_leaks(repair: Repair, installed: Path) -> None:
    """Raise where the rehearsal pool, or what is trained of the task data, overlaps the gate.

    InvalidPlan for the pool, InvalidTaskData for the user's rows.
    """
    gate = gate_items(repair.case, installed)
    pool = load_suite(POOL).items
    for item, name in zip(pool, leaks([text_of(item) for item in pool], gate), strict=True):
        if name is not None:
            raise InvalidPlan(
                f"{item.id} of the rehearsal pool says almost the same as {name}, which this "
                "policy asks: training on it would teach the test; leave that suite out of the "
                "policy, or choose a recipe that trains on no rows"
            )
    if repair.task_data is not None:
        refuse_leaking_rows(repair.task_data, gate)


def refuse_leaking_rows(path: Path, gate: Sequence[Gated]) -> None:
    """Raise InvalidTaskData if any row that would be trained on says what the gate asks."""
    rows = [row for row in read_task_data(path) if not held_out(row.prompt)]
    prompts = [
        (row.line, words) for row in rows for role, words in row.prompt_turns if role == "user"
    ]
    near = leaks([words for _, words in prompts], gate)
    leaking = {
        line: name for (line, _), name in zip(prompts, near, strict=True) if name is not None
    }
    overlaps = list(leaking.items())
    if not overlaps:
        return
    shown = ", ".join(f"line {line} as {name}" for line, name in overlaps[:SHOWN])
    more = f" and {len(overlaps) - SHOWN} more" if len(overlaps) > SHOWN else ""
    raise InvalidTaskData(
        f"{path}: {len(overlaps)} of {len(rows)} rows to train on say almost the same as what the "
        f"gate asks ({shown}{more}): a repair that learnt them would pass for that; remove them "
        "and submit again, or choose a recipe that trains on no rows"
    )


def gate_items(case: Case, installed: Path) -> list[Gated]:
    """Every item, of both splits, that a probe of the policy may ask, and each once.

    What is asked of the task data itself is left out: those rows are held out by their prompts.
    """
    items: dict[str, Gated] = {}
    for probe, questions in case.questions.items():
        spec = spec_of(probe)
        if spec.task is not None:
            for question in questions:
                name = f"{probe}:{question.item}"
                items[name] = Gated(name, (question.prompt_text,))
        elif spec.suite is not None:
            suite = suite_for(spec, installed)
            items |= {
                f"{suite.name}:{item.id}": gate_item(suite.name, item) for item in suite.items
            }
    return list(items.values())


def gate_item(suite: str, item: Row) -> Gated:
    """An item as it may stand in somebody's rows: a question with its options, and without."""
    texts: tuple[str, ...] = (text_of(item),)
    if isinstance(item, Choice) and item.question:
        texts += (f"{item.context} {item.question}",)
    return Gated(f"{suite}:{item.id}", texts, isinstance(item, Request) and item.answer is not None)


def leaks(texts: Sequence[str], gate: Sequence[Gated]) -> list[str | None]:
    """For each text the name of an item that says almost the same, or None."""
    worded = {item.name: item.texts for item in gate if not item.number}
    names = near_duplicates(texts, worded)
    sums: defaultdict[frozenset[str], dict[str, tuple[str, ...]]] = defaultdict(dict)
    for item in gate:
        if item.number:
            sums[_numbers(item.texts[0])][item.name] = item.texts
    return [
        name or near_duplicates([text], sums.get(_numbers(text), {}))[0]
        for text, name in zip(texts, names, strict=True)
    ]


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBER.findall(text))
