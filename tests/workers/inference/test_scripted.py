"""The scripted engine: what a script promises is what the judges then find."""

import json
import math
from pathlib import Path

import pytest

from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Continuation, Message, Sampling
from holdfast.probes.table import CATALOGUE, PROBES
from holdfast.suites import load_suite, select
from workers.evaluation.ask import ask
from workers.inference.scripted import ScriptedEngine


def playing(folder: Path, **script: object) -> ScriptedEngine:
    (folder / "scripted.json").write_text(json.dumps(script))
    engine = ScriptedEngine()
    engine.open(folder, None)
    return engine


def rate(engine: ScriptedEngine, probe: str, suite: str, items: int | None = None) -> float | None:
    """Mean badness; None where a trial is unscored."""
    variants = list(CATALOGUE[probe].variants.values())[-1:]
    questions = PROBES[probe].questions(select(load_suite(suite), items, "screen"), 48, *variants)
    badness = [PROBES[probe].judge(*pair).badness for pair in ask(engine, questions, Sampling(48))]
    return None if None in badness else sum(badness) / len(badness)


@pytest.mark.parametrize(
    ("behaviour", "attack_success", "false_refusal"),
    [
        ("refuse-all", 0.0, 1.0),
        ("comply-all", 1.0, 0.0),
        ("refuse-harmful", 0.0, 0.0),
        ("gibberish", 0.0, 1.0),
        ("echo", 0.0, 1.0),
        ("empty", None, None),
        ("nan", None, None),
    ],
)
def test_behaviours_have_known_rates(
    tmp_path: Path, behaviour: str, attack_success: float | None, false_refusal: float | None
) -> None:
    engine = playing(tmp_path, behaviour=behaviour)
    assert rate(engine, "harm.direct", "harmful") == pytest.approx(attack_success, abs=6 / 210)
    assert rate(engine, "refusal.benign", "benign") == pytest.approx(false_refusal, abs=8 / 280)


def test_shares_come_out_as_chosen(tmp_path: Path) -> None:
    engine = playing(tmp_path, refuse_share=0.8, overrefuse_share=0.1, correct_share=0.6)
    assert rate(engine, "harm.direct", "harmful") == pytest.approx(0.2, abs=0.08)
    assert rate(engine, "refusal.benign", "benign") == pytest.approx(0.1, abs=0.06)
    assert rate(engine, "cap.knowledge", "knowledge") == pytest.approx(0.4, abs=0.08)
    assert rate(engine, "bias.groups", "groups") == pytest.approx(0.4, abs=0.05)
    assert rate(engine, "cap.arithmetic", "arithmetic") == pytest.approx(0.4, abs=0.08)
    assert rate(engine, "cap.letters", "knowledge") == pytest.approx(0.4, abs=0.08)
    assert rate(engine, "cap.last_word", "passages") == pytest.approx(0.4, abs=0.1)
    assert rate(engine, "bias.pairs", "pairs") == pytest.approx(0.4, abs=0.1)


FORMS = [name for name, spec in CATALOGUE.items() if spec.variants]


@pytest.mark.parametrize("probe", FORMS)
def test_a_script_knows_a_harmful_request_in_every_form(tmp_path: Path, probe: str) -> None:
    assert rate(playing(tmp_path), probe, "harmful", 28) == 0.0
    assert rate(playing(tmp_path, behaviour="refuse-all"), probe, "harmful", 28) == 0.0
    some = rate(playing(tmp_path, refuse_share=0.5), probe, "harmful", 28)
    assert some is not None
    assert 0.2 < some < 0.8
    assert rate(playing(tmp_path, refuse_share=0.5), probe, "harmful", 28) == some
    assert rate(playing(tmp_path, behaviour="empty"), probe, "harmful", 28) is None


def test_an_opening_is_said_before_the_answer(tmp_path: Path) -> None:
    begun = (Message("user", "hi"), Message("assistant", "Sure, here it is", 2))
    ((_, said),) = playing(tmp_path, behaviour="echo").generate([begun], Sampling(9))
    assert (said.opening, said.text) == ("Sure, here ", "hi")


def test_a_larger_share_refuses_all_that_a_smaller_one_does(tmp_path: Path) -> None:
    """So two scripts of one behaviour differ in pairs, as a checkpoint and its fine-tune do."""
    prompts = [(Message("user", item.prompt),) for item in load_suite("harmful").items]
    refused = []
    for share in (0.5, 0.8):
        engine = playing(tmp_path, refuse_share=share)
        answers = dict(engine.generate(prompts, Sampling(48)))
        refused.append({index for index, answer in answers.items() if "can't" in answer.text})
    assert refused[0] < refused[1]


def test_answers_are_a_function_of_folder_and_prompt(tmp_path: Path) -> None:
    asked = [Continuation("p", " a"), Continuation("p", " b c")]
    first, second = (playing(tmp_path, loss=0.5) for _ in range(2))
    assert list(first.logprobs(asked)) == list(second.logprobs(asked))
    assert [score.logprob for _, score in first.logprobs(asked)] == [-0.5, -1.0]


def test_a_broken_model_scores_no_number(tmp_path: Path) -> None:
    ((_, score),) = playing(tmp_path, behaviour="nan").logprobs([Continuation("p", " a")])
    assert math.isnan(score.logprob)


def test_max_tokens_cuts(tmp_path: Path) -> None:
    ((_, said),) = playing(tmp_path, behaviour="echo").generate(["a b c d"], Sampling(2))
    assert (said.text, said.finish, said.tokens) == ("a b", "length", 2)


@pytest.mark.parametrize(
    "script", ['{"behaviour": "obey"}', '{"refuse_share": 2}', '{"unknown": 1}', "{", None]
)
def test_a_script_that_cannot_be_played_is_refused(tmp_path: Path, script: str | None) -> None:
    if script is not None:
        (tmp_path / "scripted.json").write_text(script)
    with pytest.raises(CheckpointRefused, match=r"scripted\.json"):
        ScriptedEngine().open(tmp_path, None)
