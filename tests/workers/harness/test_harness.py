"""Tasks of lm-evaluation-harness on our engines, against the harness itself on the same weights."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from holdfast.errors import TaskRefused
from holdfast.evidence.trial import Outcome, Trial
from holdfast.probes.engine import Backend, Completion, Continuation, Sampling, Score
from holdfast.probes.harness_task import questions
from holdfast.probes.question import Answer, Generate, Question
from holdfast.settings import Settings, read_settings
from tests.support.harness_tasks import write_tasks
from tests.support.tiny_llama import build_tiny_llama
from workers.evaluation.ask import ask
from workers.harness.child import open_task, plan_task
from workers.inference.transformers.engine import TransformersEngine

EXACT = Backend("transformers", "test", "float32")
ITEMS = 30  # of every task
TASKS = ("colours", "last", "said")

BY_THE_HARNESS = """
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager
checkpoint, folder, *names = sys.argv[1:]
results = lm_eval.simple_evaluate(
    model="hf",
    model_args={"pretrained": checkpoint, "dtype": "float32"},
    device="cpu",
    tasks=names,
    task_manager=TaskManager(include_path=folder, include_defaults=False),
    bootstrap_iters=0,
)
found = {
    f"{name}:{row['doc_id']}": [row.get("acc", row.get("exact_match")), row["resps"]]
    for name, rows in results["samples"].items()
    for row in rows
    if row["filter"] in ("none", "first")
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untied, or it would say the last token of the prompt for ever."""
    return build_tiny_llama(
        tmp_path_factory.mktemp("tiny") / "model", dtype=torch.float32, seed=5, tied=False
    )


@pytest.fixture(scope="module")
def engine(tiny: Path) -> TransformersEngine:
    engine = TransformersEngine(EXACT)
    engine.open(tiny, None)
    return engine


@pytest.fixture(scope="module")
def letter(engine: TransformersEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The commonest first letter of the answers, so that some of them are right."""
    settings = settings_for(tmp_path_factory.mktemp("first"))
    asked, _ = plan_task("said", None, settings)
    texts = [answer.text for _, answer in ask(engine, asked, Sampling(48))]
    letters = [found[0] for text in texts if (found := re.search("[A-Za-z]", text))]
    return max(sorted(set(letters)), key=letters.count)


@pytest.fixture(scope="module")
def settings(letter: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for(tmp_path_factory.mktemp("second"), letter)


def settings_for(folder: Path, said: str = "x") -> Settings:
    tasks = write_tasks(folder / "tasks", said)
    (folder / "home").mkdir()
    named = {"HOLDFAST_HOME": str(folder / "home"), "HOLDFAST_LM_EVAL_TASKS": str(tasks)}
    return read_settings(named)


def judged(
    settings: Settings, name: str, answers: list[tuple[Question, Answer]], digest: str
) -> dict[str, Trial]:
    with open_task(name, settings, digest) as task:
        probe = f"cap.lm_eval:{name}"
        return {question.item: task.judge(probe, question, said) for question, said in answers}


@pytest.fixture(scope="module")
def theirs(tiny: Path, settings: Settings) -> dict[str, Any]:
    """What the harness's own transformers backend finds, in the same precision."""
    assert settings.lm_eval_tasks is not None
    run = subprocess.run(
        [sys.executable, "-c", BY_THE_HARNESS, str(tiny), str(settings.lm_eval_tasks), *TASKS],
        cwd=settings.lm_eval_tasks,
        env={
            "PATH": "/usr/bin:/bin",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(settings.home / "hf"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.parametrize("name", TASKS)
def test_every_item_comes_out_as_with_the_harness_itself(
    name: str, engine: TransformersEngine, settings: Settings, theirs: dict[str, Any]
) -> None:
    asked, digest = plan_task(name, None, settings)
    answers = list(ask(engine, asked, Sampling(48)))
    trials = judged(settings, name, answers, digest)
    expected = {item: row for item, row in theirs.items() if item.startswith(f"{name}:")}
    assert trials.keys() == expected.keys()
    assert len(trials) == ITEMS
    for item, (metric, _) in expected.items():
        assert trials[item].badness == 1 - metric, item
    for question, answer in answers:
        for reply, (theirs_said,) in zip(answer.replies, expected[question.item][1], strict=True):
            if isinstance(reply, Completion):
                assert reply.text == theirs_said
            elif isinstance(reply, Score):
                assert reply.logprob == pytest.approx(float(theirs_said[0]), abs=1e-3)
                assert reply.greedy is (str(theirs_said[1]) == "True")


def test_some_answers_are_right_and_some_are_wrong(
    engine: TransformersEngine, settings: Settings
) -> None:
    asked, digest = plan_task("both", None, settings)
    trials = judged(settings, "both", list(ask(engine, asked, Sampling(48))), digest)
    for name in ("colours", "said"):
        found = {one.outcome for item, one in trials.items() if item.startswith(f"{name}:")}
        assert found == {Outcome.OK, Outcome.BAD}, name


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tasks' folder, for what imports the harness into this process: half the time."""
    assert settings.lm_eval_tasks is not None
    monkeypatch.chdir(settings.lm_eval_tasks)
    return settings.lm_eval_tasks


def planned(name: str, most: int | None, folder: Path) -> tuple[tuple[Question, ...], str]:
    from workers.harness import tasks

    items = tasks.load_items(name, folder)
    chosen = tasks.choose(items, most)
    asked = [{"item": one.id, "asks": tasks.asks_of(one)} for one in chosen]
    return questions(asked), tasks.digest_of(items)


@pytest.mark.filterwarnings("ignore")  # those of lm_eval and datasets are not ours
def test_a_question_holds_what_the_harness_would_send(here: Path) -> None:
    (first, *_), _ = planned("colours", None, here)
    assert first.item == first.cluster == "colours:0"
    options = [one for one in first.asks if isinstance(one, Continuation)]
    assert [one.text for one in options] == [
        *(" red", " green", " blue", " yellow", " white", " black")
    ]
    assert all(str(one.prompt).count("Question:") == 3 for one in options)  # two examples
    (word, *_), _ = planned("last", None, here)
    assert word.asks == (Continuation("The colour of the large sky is", " red"),)
    (free, *_), _ = planned("said", None, here)
    assert free.asks == (Generate("Name the colour of the large sky", 12, None, ("\n", "ff")),)


@pytest.mark.filterwarnings("ignore")
def test_a_tier_takes_a_part_that_is_always_the_same_one(settings: Settings, here: Path) -> None:
    part, digest = plan_task("both", 20, settings)
    everything, of_all = planned("both", None, here)
    assert len(everything) == 2 * ITEMS
    assert digest == of_all
    chosen = {question.item for question in part}
    assert len(chosen) == 20
    assert sum(item.startswith("said:") for item in chosen) == 10
    assert planned("both", 20, here) == (part, digest)


def test_other_documents_are_another_digest(settings: Settings, tmp_path: Path) -> None:
    """Also where only the right answer changed, which no prompt shows."""
    _, digest = plan_task("said", 1, settings)
    other = settings_for(tmp_path / "a", "another")
    assert plan_task("said", 1, other)[1] != digest
    with pytest.raises(TaskRefused, match="changed since it was planned"):
        judged(other, "said", [answered("said:0", Completion("x", "stop", 1))], digest)


def answered(item: str, *replies: Completion | Score) -> tuple[Question, Answer]:
    return Question(item, item, (Generate("asked", 4),)), Answer(replies)


@pytest.mark.parametrize(
    ("task", "replies", "reason"),
    [
        ("said", (Completion("", "nan", 3),), "not a number"),
        ("said", (Completion("", "length", 0),), "longer than the engine's context"),
        ("colours", (*[Score(-1.0, 1)] * 5, Score(float("nan"), 1)), "of 1 tokens is nan"),
        ("last", (Score(-1.0, 1, None),), "does not tell whether"),
    ],
)
def test_what_was_not_answered_is_not_scored(
    settings: Settings, task: str, replies: tuple[Completion | Score, ...], reason: str
) -> None:
    _, digest = plan_task(task, 1, settings)
    trials = judged(settings, task, [answered(f"{task}:0", *replies)], digest)
    trial = trials[f"{task}:0"]
    assert (trial.outcome, trial.badness) == (Outcome.UNSCORED, None)
    assert reason in (trial.reason or "")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("rolling", "of the kind loglikelihood_rolling"),
        ("unsafe", "runs code that a model wrote"),
        ("l" * 71, "has 71 characters, expected at most 70"),
        ("many", "wants 4 answers an item"),
        ("beams", "drawn with num_beams"),
        ("worse", "no metric that is better when higher"),
        ("nobody_wrote_this", "has no task 'nobody_wrote_this'"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_task_that_cannot_be_asked_says_why(task: str, said: str, here: Path) -> None:
    with pytest.raises(TaskRefused, match=said):
        planned(task, 1, here)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("rolling", "of the kind loglikelihood_rolling"),
        ("missing", "does not run: .*nowhere.jsonl"),
    ],
)
def test_the_reason_comes_out_of_the_process(settings: Settings, task: str, said: str) -> None:
    with pytest.raises(TaskRefused, match=said):
        plan_task(task, 1, settings)


def test_without_the_harness_it_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("workers.harness.child.version", absent)
    with pytest.raises(TaskRefused, match=r"install holdfast\[lm-eval\]"):
        plan_task("said", 1, settings)
