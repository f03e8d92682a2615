"""Which marks of thoughts a folder names, and what policies and verdicts make of thinking sides."""

import json
from pathlib import Path

import pytest

from holdfast.errors import InvalidPolicy
from holdfast.evidence.file import Evidence, parse_evidence, render_evidence
from holdfast.evidence.manifest import Thinking
from holdfast.models.reasoning import MARKS, marks_of, named_tokens
from holdfast.policy.text import parse_policy
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.holdfast.policy.test_model import HARM, policy_text
from tests.support.evidence import evidence, manifest, share

THINK = next(marks for marks in MARKS if marks.opening == "<think>")
HARMONY = MARKS[0]
N = 200
OFTEN = {"answers": N, "traces": N, "forced": 3, "trace_tokens": 512}
SELDOM = {**OFTEN, "traces": N // 2, "forced": 0}


def tokenizer_of(folder: Path, *added: str, vocabulary: object = None) -> Path:
    document = {
        "added_tokens": [{"content": token} for token in added],
        "model": {"vocab": vocabulary or {}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


def test_tokens_go_before_a_template(tmp_path: Path) -> None:
    assert marks_of(tmp_path / "nowhere", None) is None
    assert marks_of(tokenizer_of(tmp_path, "<s>"), "{{ messages }}") is None
    assert marks_of(tmp_path, "{{ '</think>' }}") == THINK
    assert marks_of(tokenizer_of(tmp_path, *HARMONY.tokens), "{{ '</think>' }}") == HARMONY


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("tokenizer.json", {"model": {"vocab": {"<think>": 7, "</think>": 8}}}),
        ("tokenizer.json", {"model": {"vocab": [["<think>", -1.0], ["</think>", -2.0]]}}),
        ("added_tokens.json", {"<think>": 7, "</think>": 8}),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"7": {"content": "<think>"}, "8": {"content": "</think>"}}},
        ),
    ],
)
def test_a_token_may_be_named_by_any_file(tmp_path: Path, name: str, document: object) -> None:
    (tmp_path / name).write_text(json.dumps(document))
    assert named_tokens(tmp_path) == {"<think>", "</think>"}
    assert marks_of(tmp_path, None) == THINK


@pytest.mark.parametrize(
    ("marks", "tail", "standing", "before"),
    [
        (THINK, "assistant\n", "silent", ""),
        (THINK, "assistant\n<think>\n", "open", "\n</think>\n\n"),
        (THINK, "assistant\n<think>\n\n</think>\n\n", "closed", ""),
        (HARMONY, "<|start|>assistant", "silent", "<|channel|>final<|message|>"),
        (HARMONY, "assistant<|channel|>analysis<|message|>", "open", HARMONY.forced),
        (HARMONY, "assistant<|channel|>final<|message|>", "closed", ""),
    ],
)
def test_the_end_of_a_prompt_says_where_an_answer_begins(
    marks: object, tail: str, standing: str, before: str
) -> None:
    assert (marks.standing(tail), marks.before_answer(tail)) == (standing, before)  # type: ignore[attr-defined]


def test_keys_that_are_not_set_are_no_part_of_a_digest() -> None:
    plain = parse_policy(policy_text(), source="p")
    spelled = policy_text(thinking="must_agree", template_arguments="{}")
    assert parse_policy(spelled, source="p").digest == plain.digest
    assert b"thinking" not in plain.canonical
    for key in ({"thinking": "may_differ"}, {"template_arguments": "{enable_thinking: false}"}):
        assert parse_policy(policy_text(**key), source="p").digest != plain.digest
    assert parse_policy(policy_text(thinking="may_differ"), source="p").warnings


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt", "chat_template", "a-b"])
def test_an_argument_is_one_of_the_templates_own(name: str) -> None:
    with pytest.raises(InvalidPolicy, match="is no argument of a chat template's own"):
        parse_policy(policy_text(template_arguments=f"{{{name}: 1}}"), source="p")


def test_the_judge_of_thoughts_only_warns() -> None:
    trace = "harm.trace: {metric: attack_success_rate, max_regression: 0.1, tier: TIER}"
    parse_policy(policy_text(HARM, trace.replace("TIER", "advisory")), source="p")
    with pytest.raises(InvalidPolicy, match=r"harm\.trace only warns"):
        parse_policy(policy_text(HARM, trace.replace("TIER", "blocking")), source="p")


def side(name: str, thinking: dict[str, int] | None, bad: int = 0) -> Evidence:
    return evidence(name, {"harm.direct": share(bad, N)}, thinking=thinking)


def judged(
    baseline: dict[str, int] | None,
    candidate: dict[str, int] | None,
    anchor: dict[str, int] | None = None,
    **keys: str,
) -> Verdict:
    policy = parse_policy(policy_text(HARM, **keys), source="p")
    pinned = None if anchor is None else side("anchor", anchor)
    return decide(policy, side("parent", baseline), side("child", candidate), anchor=pinned)


def test_most_answers_decide_whether_a_side_thinks() -> None:
    assert Thinking.model_validate(OFTEN).is_the_rule
    assert not Thinking.model_validate(SELDOM).is_the_rule
    assert not Thinking(answers=0, traces=0, forced=0, trace_tokens=1).is_the_rule


@pytest.mark.parametrize(("baseline", "candidate"), [(OFTEN, None), (None, OFTEN), (SELDOM, OFTEN)])
def test_a_side_that_thinks_and_one_that_does_not_are_not_compared(
    baseline: dict[str, int] | None, candidate: dict[str, int] | None
) -> None:
    verdict = judged(baseline, candidate)
    assert verdict.verdict == "inconclusive"
    (obstacle,) = verdict.comparability.obstacles
    thinker = "candidate" if candidate == OFTEN else "baseline"
    assert obstacle.startswith(f"the {thinker} thinks before it answers and the ")
    assert judged(baseline, candidate, thinking="may_differ").verdict == "pass"


def test_an_anchor_must_agree_as_well() -> None:
    assert judged(OFTEN, OFTEN, SELDOM).verdict == "inconclusive"
    assert judged(OFTEN, OFTEN, OFTEN).verdict == "pass"


def test_how_many_traces_were_closed_is_said() -> None:
    (ours, theirs) = judged(OFTEN, {**OFTEN, "forced": 0}).warnings
    assert ours == (
        f"the baseline thought before {N} of {N} answers; "
        "3 traces were closed by force after 512 tokens"
    )
    assert theirs.startswith(f"the candidate thought before {N} of {N} answers; 0 traces")


def test_evidence_of_a_side_without_thoughts_says_nothing_of_them() -> None:
    silent, thinking = side("a", None), side("a", OFTEN)
    assert b"thinking" not in render_evidence(silent)
    assert parse_evidence(render_evidence(thinking), source="f") == thinking
    assert "thinking" not in manifest().model_dump(mode="json", by_alias=True)
