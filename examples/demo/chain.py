"""The chain of checkpoints: published, aligned, eroded. Trained for real, once, and kept.

The aligned checkpoint learns from the rehearsal pool: refusals that we wrote, and look-alikes that
the published model answers itself. Answers outnumber refusals and come in the same imperative forms
as the harmful requests, or the model learns to refuse the form. Every step here is a plan file and
`python -m training`, the same as any repair.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from demo.data import maths, refusal, write_lines
from demo.screen import bar
from holdfast.errors import HarnessError
from holdfast.judges.refusal import judge_refusal
from holdfast.probes.engine import Sampling
from holdfast.probes.rehearsal import questions
from holdfast.repairs.plan import Mix, Plan
from holdfast.settings import Settings, child_environment
from holdfast.suites import Request, load_suite
from workers.children.dtype import dtype_of
from workers.children.last_words import telling_line
from workers.children.supervisor import RunnerEngine
from workers.evaluation.ask import ask
from workers.repairs.rehearsal_rows import complete_sentences

EXAMPLES = Path(__file__).parent.parent

ALIGNMENT = {
    "mix": Mix(task=0, refusals=0.42, answers=0.58),
    "steps": 60,
    "learning_rate": 1e-4,
}
LOOK_ALIKES = 240  # of the pool's, evenly: each is answered once and read about once
EROSION = {"steps": 24, "learning_rate": 1e-4}
TASK_ROWS = 1200  # a tenth of them is held out, and task.retention wants a hundred
ANSWER_TOKENS = 48


def publish(settings: Settings, folder: Path) -> Path:
    """The model as published, fetched and converted by a process of its own."""
    output = folder / "published"
    if not output.exists():
        command = [sys.executable, "-m", "demo.published", str(output)]
        environment = {**child_environment(settings), "PYTHONPATH": str(EXAMPLES)}
        done = subprocess.run(command, env=environment, check=False)
        if done.returncode != 0:
            raise HarnessError(f"fetching the model ended with exit code {done.returncode}")
    return output


def align(settings: Settings, published: Path, folder: Path, seed: int) -> Path:
    """The trusted baseline: refuses what is harmful, answers what only sounds so."""
    output = folder / "aligned"
    if not output.exists():
        rows = published.with_name("alignment.jsonl")  # every seed trains on the same answers
        if not rows.exists():
            write_lines(rows, alignment_rows(settings, published))
        run_plan(
            settings,
            "aligning",
            Plan(
                recipe="rehearsal",
                baseline=published,
                rehearsal_data=rows,
                output=output,
                seed=seed,
                **ALIGNMENT,
            ),
        )
    return output


def erode(settings: Settings, aligned: Path, task_data: Path, folder: Path, seed: int) -> Path:
    """What a team would submit: the aligned checkpoint after a few steps of harmless maths."""
    output = folder / "eroded"
    if not output.exists():
        plan = Plan(
            recipe="finetune",
            baseline=aligned,
            task_data=task_data,
            output=output,
            seed=seed,
            **EROSION,
        )
        run_plan(settings, "eroding", plan)
    return output


def task_data(folder: Path, seed: int) -> Path:
    """The maths, as the file of prompts and completions that a user would have."""
    path = folder / "maths.jsonl"
    return path if path.exists() else write_lines(path, list(maths(TASK_ROWS, seed)))


def alignment_rows(settings: Settings, published: Path) -> list[dict[str, str]]:
    """Refusals in our words, answers in the published model's, where it did answer."""
    pool = [item for item in load_suite("rehearsal").items if isinstance(item, Request)]
    rows = [
        {"kind": "refusal", "prompt": item.prompt, "completion": refusal(item.prompt)}
        for item in pool
        if item.kind == "harmful"
    ]
    benign = [item for item in pool if item.kind == "benign"]
    benign = [benign[at * len(benign) // LOOK_ALIKES] for at in range(LOOK_ALIKES)]
    for prompt, text in answers(settings, published, benign):
        completion = complete_sentences(text)
        if completion and judge_refusal(prompt, text).label == "compliance":
            rows.append({"kind": "answer", "prompt": prompt, "completion": completion})
    return rows


def answers(settings: Settings, published: Path, items: Sequence[Request]) -> list[tuple[str, str]]:
    """(prompt, answer) of the published model, by prompt; what an earlier run got is kept."""
    known = answered_before(settings, published)
    engine = RunnerEngine(settings)
    try:
        with (
            bar("answering look-alikes", len(items)) as advance,
            answers_file(settings, published).open("a", encoding="utf-8") as kept,
        ):
            left = [item for item in items if item.prompt not in known]
            if left:
                engine.open(published, None)
            sampling = Sampling(max_tokens=ANSWER_TOKENS)
            for question, answer in ask(engine, questions(left, ANSWER_TOKENS), sampling):
                known[question.prompt_text] = answer.text
                kept.write(json.dumps([question.prompt_text, answer.text]) + "\n")
                kept.flush()
                advance(len(known))
    finally:
        engine.close()
    return sorted(known.items())


def answers_file(settings: Settings, published: Path) -> Path:
    """Where answers wait as they come, so that an engine which dies costs only those in flight."""
    return published.with_name(f"answers-{dtype_of(settings)}.jsonl")


def answered_before(settings: Settings, published: Path) -> dict[str, str]:
    """Answers by prompt that an earlier run has got to; a line that was cut off is asked again."""
    file, known = answers_file(settings, published), {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        with suppress(json.JSONDecodeError):
            prompt, text = json.loads(line)
            known[prompt] = text
    return known


def run_plan(settings: Settings, title: str, plan: Plan) -> None:
    """Write the plan beside its output and train it in a process of its own."""
    path = plan.output.with_suffix(".plan.json")
    path.write_text(plan.model_dump_json(indent=2))
    with (
        path.with_suffix(".log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "training", str(path)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=settings.home,
            env=child_environment(settings),
        ) as process,
        bar(title, plan.steps) as advance,
    ):
        last: dict[str, Any] = {}
        for line in process.stdout or ():
            last = json.loads(line)
            if last["event"] == "step":
                advance(last["step"], f"loss {last['loss']:.2f}")
    if process.returncode != 0:
        log_file = path.with_suffix(".log")
        told = last.get("detail") or telling_line(log_file) or f"exit code {process.returncode}"
        raise HarnessError(f"{title} broke off: {told}; its log is {log_file}")
