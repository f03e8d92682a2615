"""Task rows: what is refused, by file and line; the held-out tenth hangs on prompts alone."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidTaskData
from holdfast.task_data import (
    Pair,
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
        ({**GOOD, "prompt": ["x"]}, "its prompt is a list"),
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
        Pair("a", "No.", "Yes.", None, 1),
        Pair("b", "No.", "Yes.", 1.0, 3),
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
