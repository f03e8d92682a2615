"""What the prompts of a task share: whole lines and sentences, of more than half of them."""

import pytest

from holdfast.repairs.task_frame import Frame, frame_of

THINGS = ("apple", "boats", "cup", "drum", "eggs", "fork", "glove", "hat", "ink", "jars")


def prompts(form: str) -> list[str]:
    return [form.format(thing) for thing in THINGS]


@pytest.mark.parametrize(
    ("form", "frame"),
    [
        (
            "### Instruction:\nCount the {}.\n\n### Response:\n",
            ("### Instruction:\n", "\n\n### Response:\n"),
        ),
        ("Translate to French: {}", ("Translate to French: ", "")),
        (
            "Solve this. How many {} are left? Give the number alone.",
            ("Solve this. ", " Give the number alone."),
        ),
        ("{} Answer in one word.", ("", " Answer in one word.")),
        ("How many {} are there in all?", ("", "")),
        ("\n{}\n", ("", "")),
    ],
)
def test_a_frame_is_cut_to_where_something_new_can_begin(form: str, frame: tuple[str, str]) -> None:
    assert frame_of(prompts(form)) == Frame(*frame)


def test_a_rarer_second_form_does_not_hide_it() -> None:
    rows = prompts("Question: {}") + [f"{thing} and {thing}" for thing in THINGS[:9]]
    assert frame_of(rows) == Frame("Question: ")
    assert frame_of(prompts("Question: {}")[:9] + [f"{thing}?" for thing in THINGS]) == Frame()


def test_a_few_prompts_or_one_many_times_share_nothing() -> None:
    assert frame_of([]) == Frame()
    assert frame_of(["Question: a", "Question: b"] * 50) == Frame()
    assert not Frame()


def test_a_prompt_in_a_frame_has_something_between_its_ends() -> None:
    frame = Frame("Say: ", "\nNow.")
    assert frame.holds(frame.around("a"))
    assert not frame.holds("Say: \nNow.")
    assert not frame.holds("Say: a")
