"""What a request may say of a repair: every knob of a plan but paths and the worker's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from holdfast.api.wire import RepairOptions
from holdfast.repairs.plan import Plan

WORKERS_OWN = {"version", "recipe", "save_seconds"}


def types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)


def knobs(model: type[BaseModel], *, paths: bool, place: str = "") -> Iterator[str]:
    """The dotted name of every knob that is a path, or of every one that is none."""
    for name, field in model.model_fields.items():
        types = list(types_in(field.annotation))
        group = next((one for one in types if is_group(one)), None)
        if group is not None:
            yield from knobs(group, paths=paths, place=f"{place}{name}.")
        elif (Path in types) is paths:
            yield place + name


def is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def test_every_knob_of_a_plan_can_be_asked_for_and_no_path() -> None:
    of_a_plan = set(knobs(Plan, paths=False)) - WORKERS_OWN
    of_a_request = set(knobs(RepairOptions, paths=False))
    assert of_a_plan - of_a_request == set(), "add it to RepairOptions, or to WORKERS_OWN"
    assert of_a_request - of_a_plan == set()
    assert {"lora.rank", "serving.prompt", "safe_merge.threshold", "anchor.bound"} <= of_a_request
    assert "safe_merge.unaligned" in set(knobs(Plan, paths=True))
    assert set(knobs(RepairOptions, paths=True)) == set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"safe_merge": {"unaligned": "/etc"}},
        {"serving": {"template": "/etc/passwd"}},
        {"resume": "/tmp"},
        {"rehearsal_data": "/etc/passwd"},
        {"lora": {"rank": 0}},
        {"lora": {"targets": ["a\0b"]}},
        {"freeze": ["a\ud800"]},
        {"serving": {"prompt": ""}},
        {"preference": {"beta": float("inf")}},
        {"penalty": {"l2": float("nan")}},
        {"reduction": "mean"},
        {"watch": {"evry": 3}},
    ],
)
def test_what_a_request_must_not_say(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RepairOptions.model_validate(wrong)


def test_only_what_was_said_is_kept_and_a_null_within_a_knob_is_its_value() -> None:
    said = {"anchor": {"bound": None}, "lora": {}, "watch": {"every": 4}, "steps": None}
    assert RepairOptions.model_validate(said).explicit_knobs == {
        "anchor": {"bound": None},
        "lora": {},
        "watch": {"every": 4},
    }
    assert RepairOptions().explicit_knobs == {}
