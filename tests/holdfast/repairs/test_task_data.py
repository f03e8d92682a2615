"""Task rows: what is refused, by file and line; the held-out tenth hangs on prompts alone."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidTaskData
from holdfast.repairs.task_data import (
    PreferencePair,
    Row,
    digest_of,
    held_out,
    read_preferences,
    read_rehearsal,
    read_task_data,
    rows_digest,
)

GOOD = {"prompt": "What is 2 + 2?", "completion": "4"}


def write(folder: Path, *lines: object) -> Path:
    path = folder / "task.jsonl"
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({**GOOD, "completion": ""}, "its completion is empty"),
        ({**GOOD, "completion": " \n"}, "its completion is empty"),
        ({**GOOD, "prompt": "\t"}, "its prompt is empty"),
        ({"prompt": "x"}, "no completion"),
        ({"completion": "x"}, "no prompt"),
        ({**GOOD, "prompt": 3}, "its prompt is a int"),
        ("[1, 2]", "a list, expected an object"),
        ('{"prompt": "cut', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"prompt": "a\\ud800", "completion": "b"}', "half a surrogate pair"),
    ],
)
def test_a_bad_row_is_refused_by_file_and_line(line: object, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, line, GOOD)
    with pytest.raises(InvalidTaskData, match=re.escape(words)) as refusal:
        read_task_data(path)
    assert str(refusal.value).startswith(f"{path}, line 2: ")


def test_a_file_that_is_no_task_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTaskData, match="cannot be read: No such file"):
        read_task_data(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(InvalidTaskData, match="not UTF-8 at byte 15"):
        read_task_data(tmp_path / "latin.jsonl")
    with pytest.raises(InvalidTaskData, match="holds no rows"):
        read_task_data(write(tmp_path))


def test_a_rehearsal_row_needs_its_kind(tmp_path: Path) -> None:
    rows = read_rehearsal(write(tmp_path, {**GOOD, "kind": "answer"}))
    assert [(row.prompt, row.kind, row.line) for row in rows] == [(GOOD["prompt"], "answer", 1)]
    with pytest.raises(InvalidTaskData, match="kind is None"):
        read_rehearsal(write(tmp_path, GOOD))


def test_a_prompt_stands_on_one_side_however_often_it_is_asked(tmp_path: Path) -> None:
    rows = read_task_data(
        write(tmp_path, *({"prompt": f"{n % 300} + 1?", "completion": str(n)} for n in range(600)))
    )
    sides = [held_out(row.prompt) for row in rows]
    assert sides[:300] == sides[300:]
    assert 30 <= sum(sides) <= 90


def test_what_the_digests_stand_for(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, {"prompt": "a", "completion": "b"})
    rows = read_task_data(path)
    assert digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows_digest(rows) == rows_digest(
        read_task_data(write(tmp_path, GOOD, "", vars_of(rows[1])))
    )
    assert rows_digest(rows) != rows_digest(rows[::-1])
    with pytest.raises(InvalidTaskData, match="cannot be read"):
        digest_of(tmp_path / "absent.jsonl")


def vars_of(row: Row) -> dict[str, str]:
    return {"completion": row.completion, "prompt": row.prompt}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_held_out_is_the_stated_rule(prompt: str) -> None:
    assert held_out(prompt) == (int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 10 == 0)


def test_pairs_are_read_with_their_margins(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"prompt": "a", "chosen": "No.", "rejected": "Yes."}\n\n'
        '{"prompt": "b", "chosen": "No.", "rejected": "Yes.", "margin": 1, "judge": "x"}\n'
    )
    assert read_preferences(path) == [
        PreferencePair("a", "No.", "Yes.", None, 1),
        PreferencePair("b", "No.", "Yes.", 1.0, 3),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"prompt": "a", "chosen": "No.", "rejected": " No. "}', "are the same answer"),
        ('{"prompt": "a", "chosen": "No.", "rejected": ""}', "its rejected is empty"),
        ('{"prompt": "a", "chosen": "No."}', "no rejected"),
        ('{"prompt": "a", "rejected": "No."}', "no chosen"),
        ('{"chosen": "a", "rejected": "No."}', "no prompt"),
        ('{"prompt": "a", "chosen": 3, "rejected": "No."}', "its chosen is a int"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": "1"}', "margin is '1'"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": true}', "margin is a bool"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": NaN}', "margin is nan"),
        ("[]", "a list, expected an object"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_pair_is_refused_by_file_and_line(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"prompt": "a", "chosen": "b", "rejected": "c"}}\n{line}\n')
    with pytest.raises(InvalidTaskData, match=f"pairs.jsonl, line 2: .*{fault}"):
        read_preferences(path)


ASKED, ANSWER = "What is 2 + 2?", "4"
PLAIN: dict[str, dict[str, object]] = {  # one exchange without a history, in every form
    "prompt and completion": {"prompt": ASKED, "completion": ANSWER, "source": "x"},
    "lists of messages": {
        "prompt": [{"role": "user", "content": ASKED}],
        "completion": [{"role": "assistant", "content": ANSWER}],
    },
    "a list and a text": {"prompt": [{"role": "user", "content": ASKED}], "completion": ANSWER},
    "messages": {
        "messages": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
        ],
        "prompt": ASKED,
        "tools": [],
    },
    "alpaca": {"instruction": ASKED, "input": "", "output": ANSWER, "text": "x"},
    "ShareGPT": {
        "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWER}]
    },
}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": ANSWER},
]
SAID = (("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."))
LONG: dict[str, dict[str, object]] = {
    "messages": {"messages": TALK},
    "lists of messages": {"prompt": TALK[:-1], "completion": TALK[-1:]},
    "ShareGPT": {
        "conversations": [
            {"from": {"assistant": "gpt", "user": "human"}.get(turn["role"], "system"),
             "value": turn["content"]}
            for turn in TALK
        ]
    },
    "ShareGPT with its system turn apart": {
        "system": "Be brief.",
        "conversations": [{"from": turn["role"], "value": turn["content"]} for turn in TALK[1:]],
    },
}  # fmt: skip


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN)
def test_one_exchange_is_the_same_row_in_every_form(
    content: dict[str, object], tmp_path: Path
) -> None:
    (row,) = read_task_data(write(tmp_path, content))
    assert row == Row(ASKED, ANSWER, "task", 1)
    assert rows_digest([row]) == hashlib.sha256(b'["What is 2 + 2?", "4"]\n').hexdigest()


@pytest.mark.parametrize("content", LONG.values(), ids=LONG)
def test_the_last_answer_is_learnt_and_what_stands_before_is_its_history(
    content: dict[str, object], tmp_path: Path
) -> None:
    (row,) = read_task_data(write(tmp_path, content))
    assert row == Row(ASKED, ANSWER, "task", 1, SAID)
    assert row.prompt_turns == (*SAID, ("user", ASKED))
    assert rows_digest([row]) != rows_digest([Row(ASKED, ANSWER, "task", 1)])


def test_what_an_instruction_is_about_stands_below_it(tmp_path: Path) -> None:
    content = {"instruction": "Add.", "input": "2, 2", "output": "4", "system": "Be brief."}
    (row,) = read_task_data(write(tmp_path, content))
    assert (row.prompt, row.history) == ("Add.\n\n2, 2", (("system", "Be brief."),))


def chat(*roles: str) -> dict[str, object]:
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GOOD, "it has prompt and completion, but the first row has messages alone"),
        (chat("user", "assistant") | GOOD, "it has prompt and completion, but the first row has"),
        ({"text": "x"}, "no messages; every row needs one"),
        ({"messages": "x"}, "a str, expected a list of messages"),
        ({"messages": ["x"]}, "turn 1: expected role and content, or from and value"),
        (chat("user", "assistant", "user"), "it ends with assistant and user, expected a user's"),
        (chat("assistant"), "it ends with assistant, expected a user's turn and"),
        (chat("user", "assistant", "assistant"), "it ends with assistant and assistant"),
        (chat(), "it ends with nothing"),
        (chat("user", "system", "user", "assistant"), "a system turn stands in the middle"),
        (chat("user", "tool", "user", "assistant"), "turn 2: its role is 'tool'"),
        (chat("user", "assistant") | {"tools": [{"name": "f"}]}, "it has tools"),
        ({"messages": [*TALK[:-1], {"role": "assistant", "content": None}]}, "no completion"),
        ({"messages": [TALK[1], {"role": "assistant", "content": ""}]}, "completion is empty"),
        ({"messages": [{"role": "system", "content": " "}, *TALK[3:]]}, "system turn is empty"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, TALK[-1]]}, "is a list"),
    ],
)
def test_a_row_that_is_no_such_conversation_is_refused(
    line: object, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path, chat("user", "assistant"), line)
    with pytest.raises(InvalidTaskData, match=re.escape(words)) as refusal:
        read_task_data(path)
    assert str(refusal.value).startswith(f"{path}, line 2")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"text": "x"}, "its keys are text, expected those of one form: prompt and completion;"),
        ({}, "its keys are none"),
        (GOOD | chat("user", "assistant"), "make it prompt and completion and messages at once"),
        ({**GOOD, "instruction": "x", "output": "y"}, "prompt and completion and alpaca at once"),
    ],
)
def test_a_first_row_of_no_form_or_of_two_is_refused(
    line: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidTaskData, match=re.escape(words)):
        read_task_data(write(tmp_path, line, GOOD))


@pytest.mark.parametrize("packed", [False, True])
def test_an_array_is_read_as_its_rows_and_gzip_as_what_it_holds(
    packed: bool, tmp_path: Path
) -> None:
    text = json.dumps([GOOD, {"prompt": "a", "completion": ""}], indent=2).encode()
    path = tmp_path / ("rows.json.gz" if packed else "rows.json")
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(InvalidTaskData, match="row 2: its completion is empty"):
        read_task_data(path)
    lines = json.dumps(GOOD).encode() + b"\n\n" + json.dumps(GOOD).encode()
    path.write_bytes(gzip.compress(lines) if packed else lines)
    assert [row.line for row in read_task_data(path)] == [1, 3]


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode())[:-6])
    with pytest.raises(InvalidTaskData, match="no whole gzip file"):
        read_task_data(path)
    path.write_text("[" + json.dumps(GOOD))
    with pytest.raises(InvalidTaskData, match=r"not JSON .* one array of objects"):
        read_task_data(path)
