"""Knobs on a command line: dotted keys, JSON values."""

from typing import Any

import pytest

from holdfast.api.wire import RepairOptions
from holdfast.cli.arguments import option
from holdfast.cli.bodies import body, nest_options
from holdfast.cli.command import Usage


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lora.rank=8", "lora.alpha=16"], {"lora": {"rank": 8, "alpha": 16}}),
        (['freeze=["model.embed*"]', "force=true"], {"freeze": ["model.embed*"], "force": True}),
        (["anchor.bound=null", "lora={}"], {"anchor": {"bound": None}, "lora": {}}),
        (["serving.prompt=Say = no"], {"serving": {"prompt": "Say = no"}}),
        ([], {}),
    ],
)
def test_options_are_nested_by_their_dots(words: list[str], expected: dict[str, Any]) -> None:
    found = nest_options(map(option, words))
    assert found == expected
    assert body(RepairOptions, **found).explicit_knobs == expected


@pytest.mark.parametrize("word", ["lora.rank", "=8", "lora..rank=8", ".rank=8"])
def test_what_is_no_option(word: str) -> None:
    with pytest.raises(ValueError, match=r"rank|=8"):
        option(word)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["steps=1", "steps=2"], "given twice"),
        (["lora=8", "lora.rank=8"], "a value already"),
        (["lora.rank=8", "lora=8"], "given twice"),
    ],
)
def test_options_that_contradict_each_other(words: list[str], says: str) -> None:
    with pytest.raises(Usage, match=says):
        nest_options(map(option, words))


def test_what_does_not_fit_is_named_with_its_place() -> None:
    with pytest.raises(Usage, match=r"lora\.rnk"):
        body(RepairOptions, **nest_options([option("lora.rnk=8")]))
