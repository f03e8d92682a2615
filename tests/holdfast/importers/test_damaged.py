"""Damaged files: whatever is wrong is said with the file and the line, and nothing is taken."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InvalidSuite
from holdfast.importers import FORMATS, read_published

ADVBENCH = "goal,target\nWrite a threat,Sure\n"
HARMBENCH = "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
BBQ: dict[str, Any] = {
    "example_id": 0,
    "question_polarity": "neg",
    "context_condition": "ambig",
    "category": "Age",
    "answer_info": {"ans0": ["a", "old"], "ans1": ["b", "nonOld"], "ans2": ["c", "unknown"]},
    "additional_metadata": {"stereotyped_groups": ["old"]},
    "context": "Two people met.",
    "question": "Who was late?",
    "ans0": "a",
    "ans1": "b",
    "ans2": "c",
    "label": 2,
}
ARC = {"question": "What burns?", "choices": ["wood", "rock"], "answer": "A"}
TALK = "\n\nHuman: Rain?\n\nAssistant:"

TEXTS = [  # format, file name, its text, the line that is named, and what is said
    ("advbench", "a.csv", "", None, "holds no rows"),
    ("advbench", "a.csv", "goal,target\n", None, "holds no rows"),
    ("advbench", "a.csv", ADVBENCH + "only one\n", 3, "found 1 columns, expected 2"),
    ("advbench", "a.csv", ADVBENCH + "one,two,three\n", 3, "found 3 columns, expected 2"),
    ("advbench", "a.csv", ADVBENCH + ",Sure\n", 3, "goal is empty"),
    ("advbench", "a.csv", ADVBENCH + '"cut off,Sure\n', 3, "not CSV from here on"),
    ("advbench", "a.csv", ADVBENCH + '"two\nlines",Sure\n,\n', 5, "goal is empty"),
    ("advbench", "a.csv", "goal,Goal,target\n", 1, "the column 'goal' stands twice"),
    (
        "advbench",
        "a.csv",
        "prompt,type\nHi,x\n",
        2,
        "found the columns prompt, type, expected goal",
    ),
    ("advbench", "a.csv", "prompt,type\nHi,x\n", 2, "these are columns of xstest"),
    ("advbench", "a.jsonl", '{"goal": "x", "target": "y"}\n{"goal"', 2, "not JSON"),
    ("advbench", "a.jsonl", '{"goal": "x", "target": "y"}\n7\n', 2, "expected an object"),
    ("advbench", "a.jsonl", '{"goal": "\\ud800", "target": "y"}', 1, "half a surrogate pair"),
    ("advbench", "a.json", '[{"goal": "x", "target": "y"},\n\n {"goal": ]', 3, "not JSON"),
    ("advbench", "a.json", '[{"goal": "x", "target": "y"}', 1, "not JSON from here on"),
    ("advbench", "a.json", '[{"goal": "x", "target": "y"}]\n{}', 1, "follows the end"),
    ("advbench", "a.json", '[{"goal": "x", "target": "y"},\n "text"]', 2, "expected an object"),
    ("harmbench", "h.csv", HARMBENCH + "Do it,odd,s,,,id\n", 2, "functionalcategory is 'odd'"),
    ("harmbench", "h.csv", HARMBENCH + "Do it,contextual,s,,,id\n", 2, "contextstring is empty"),
    ("harmbench", "h.csv", HARMBENCH + "A,standard,s,,,i\nB,standard,s,,,i\n", 3, "already in"),
    (
        "xstest",
        "x.csv",
        "id,prompt,type,label\n1,Hi,t,maybe\n",
        2,
        "label is 'maybe', expected safe",
    ),
    ("mmlu", "a_test.csv", "Which?,a,b,c,d,E\n", 1, "answer is 'E', expected a letter"),
    ("mmlu", "a_test.csv", "Which?,a,b,c,A\n", 1, "found 5 columns, expected 6"),
    ("mmlu", "a_test.csv", "Which?,a,,c,d,A\n", 1, "b is empty"),
    ("native", "n.jsonl", '{"id": "a"}\n', 1, "found the columns id, expected id, chosen or"),
    ("native", "n.jsonl", '{"id": "a", "prompt": "x", "odd": 1}\n', 1, "unknown key odd"),
    ("native", "n.jsonl", '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n', 2, "already"),
]

ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("bbq", {**BBQ, "label": 3}, "label is '3', expected one of 0 to 2"),
    ("bbq", {**BBQ, "label": None}, "no label, found"),
    ("bbq", {**BBQ, "example_id": "x"}, "example_id is 'x', expected a whole number"),
    ("bbq", {**BBQ, "question_polarity": "pos"}, "expected neg, nonneg"),
    ("bbq", {**BBQ, "context_condition": "none"}, "expected ambig, disambig"),
    ("bbq", {**BBQ, "answer_info": {"ans0": ["a", "b"]}}, "answer_info is no object of ans0"),
    ("bbq", {**BBQ, "target_loc": 2}, "target_loc is 2, which is the unknown option"),
    ("bbq", {**BBQ, "ans1": ""}, "ans1 is empty"),
    (
        "crows-pairs",
        {"sent_more": "Same.", "sent_less": "Same.", "bias_type": "age"},
        "more and less are the same",
    ),
    ("gsm8k", {"question": "How many?", "answer": "three"}, "does not end in `#### `"),
    ("gsm8k", {"question": "How many?", "answer": "#### 1.5"}, "does not end in `#### `"),
    ("lambada", {"context": "To the", "continuation": "old dock"}, "one last word"),
    ("lambada", {"text": "dock"}, "one last word"),
    ("arc", {**ARC, "answer": "C"}, "the answer is 'C', expected one of A, B"),
    ("arc", {**ARC, "choices": ["wood", " "]}, "holds something that is no text, or an empty one"),
    ("arc", {**ARC, "choices": "wood"}, "choices is in no known form"),
    ("arc", {**ARC, "choices": ["wood"]}, "choices: Tuple should have at least 2 items"),
    ("arc", {**ARC, "question": {"stem": ""}}, "choices is in no known form"),
    ("mmlu", {**ARC, "choices": [1, 2]}, "holds something that is no text"),
    ("truthfulqa", {"question": "?", "mc1_targets": {"a": 1, "b": 1}}, "marks 2 options as true"),
    ("truthfulqa", {"question": "?", "mc1_targets": [1]}, "mc1_targets is a list"),
    ("piqa", {"goal": "g", "sol1": "a", "sol2": "b", "label": -1}, "label is '-1'"),
    ("boolq", {"question": "q", "passage": "p", "answer": "maybe"}, "expected true or false"),
    ("boolq", {"query": "no question", "choices": ["a", "b"], "gold": 0}, "no `Question:`"),
    (
        "winogrande",
        {"sentence": "No blank here.", "option1": "a", "option2": "b", "answer": "1"},
        "the sentence has no _",
    ),
    (
        "winogrande",
        {"sentence": "A _ here.", "option1": "a", "option2": "b", "answer": ""},
        "answer is empty",
    ),
    ("hh-rlhf", {"chosen": "Human: x", "rejected": "Human: y"}, "share no transcript"),
    ("hh-rlhf", {"chosen": f"{TALK} yes", "rejected": 3}, "not both texts"),
    (
        "pku-saferlhf",
        {"prompt": "p", "response_0": "a", "response_1": "b", "safer_response_id": 2},
        "safer_response_id is '2', expected 0, 1",
    ),
    (
        "pku-saferlhf",
        {"prompt": "p", "response_0": None, "response_1": "b", "safer_response_id": 0},
        "response_0 is no text",
    ),
    ("preferences", {"prompt": [], "chosen": "a", "rejected": "b"}, "neither text nor a list"),
    ("preferences", {"prompt": "p", "chosen": [{}], "rejected": "b"}, "neither content nor value"),
    ("alpaca", {"instruction": "Sing", "instances": []}, "instances is \\[\\], expected one"),
    ("alpaca", {"instruction": "  ", "input": "x"}, "instruction is empty"),
    ("jailbreakbench", {"goal": None, "behavior": "b", "category": "c"}, "no goal, found"),
    ("strongreject", {"category": "c", "forbidden_prompt": ["x"]}, "forbidden_prompt is a list"),
    ("do-not-answer", {"risk_area": "r", "question": ""}, "question is empty"),
    ("simplesafetytests", {"harm_area": "r", "prompt": True}, "prompt is a bool, expected text"),
    ("openbookqa", {**ARC, "answerKey": "Z"}, "the answer is 'Z'"),
    ("native", {"id": "i" * 81, "prompt": "p"}, "id: .* has 81 characters, expected at most 80"),
]


@pytest.mark.parametrize(("form", "name", "text", "line", "said"), TEXTS)
def test_a_damaged_file_names_its_line(
    tmp_path: Path, form: str, name: str, text: str, line: int | None, said: str
) -> None:
    path = tmp_path / name
    path.write_text(text, newline="")
    place = f"{name}:{line}: " if line else f"{name} "
    with pytest.raises(InvalidSuite, match=said) as raised:
        read_published(form, [path], "mine")
    assert f"{tmp_path}/{place}" in str(raised.value)


@pytest.mark.parametrize(("form", "row", "said"), ROWS)
def test_a_bad_row_names_its_line(
    tmp_path: Path, form: str, row: dict[str, Any], said: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"\n{json.dumps(row)}\n")
    with pytest.raises(InvalidSuite, match=rf"rows\.jsonl:2: .*{said}"):
        read_published(form, [path], "mine")


def test_every_format_refuses_rows_of_no_known_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"colour": "red"}\n')
    for form in FORMATS:
        with pytest.raises(InvalidSuite, match=r"rows\.jsonl:1: found the columns colour, exp"):
            read_published(form, [path], "mine")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"goal,target\nDo \xff it,Sure\n", r"a\.csv:2: not UTF-8"),
        ("a.csv.gz", gzip.compress(ADVBENCH.encode(), mtime=0)[:-9], "no whole gzip file"),
        ("a.csv.gz", b"goal,target\n", "no whole gzip file"),
        ("a.parquet", b"PAR1", r"is \.parquet, expected CSV"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidSuite, match=said):
        read_published("advbench", [tmp_path / name], "mine")


def test_a_byte_order_mark_and_gzip_are_read_through(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + ADVBENCH.encode()))
    assert len(read_published("advbench", [tmp_path / "a.csv.gz"], "mine").items) == 1


@pytest.mark.parametrize(
    ("form", "name", "said"),
    [
        ("nope", "mine", "unknown format 'nope', expected one of advbench, "),
        ("advbench", "harmful", "built-in suite, choose another name"),
        ("advbench", "My Suite", "cannot be a suite's name"),
        ("advbench", "../mine", "cannot be a suite's name"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, form: str, name: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(ADVBENCH)
    with pytest.raises(InvalidSuite, match=said):
        read_published(form, [tmp_path / "a.csv"], name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="cannot be read: No such file"):
        read_published("advbench", [tmp_path / "a.csv"], "mine")


def test_rows_of_two_types_are_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "n.jsonl"
    path.write_text('{"id": "a", "prompt": "x"}\n{"id": "b", "more": "x", "less": "y"}\n')
    with pytest.raises(InvalidSuite, match=r"n\.jsonl:2: a Pair among Requests"):
        read_published("native", [path], "mine")
