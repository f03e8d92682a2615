"""Training rows scored by a baseline: `python -m workers.row_scores CHECKPOINT ROWS`.

The process that `holdfast data audit` starts. It admits and stages the checkpoint as an evaluation
would, has a walled child score the rows, and passes the child's lines on: one a row and score, as
they come, and last `done` or `error`.
"""

import argparse
import json
import shutil
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from holdfast.errors import CheckpointTouched, InvalidTaskData
from holdfast.models.quantisation import quantisation_of
from holdfast.settings import make_folder, private_files, read_settings
from workers.checkpoints.loading import naming_sources
from workers.children.training_child import TrainingChild
from workers.evaluation.noise import stage_checkpoint
from workers.lines import run_to_the_end, say
from workers.views import Views

CHILD = "workers.inference.row_scores"
SCORES = ("shift", "influence")


def main() -> int:
    """The process: its arguments, and how it ended."""
    parser = argparse.ArgumentParser(prog="python -m workers.row_scores")
    parser.add_argument("checkpoint")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--scores", nargs="+", choices=SCORES, default=list(SCORES))
    options = parser.parse_args()
    with private_files():
        return run_to_the_end(lambda: score(options.checkpoint, options.rows, options.scores))


def score(named: str, rows: Path, scores: list[str]) -> None:
    """Have the child score, and say what it says."""
    settings = read_settings().model_copy(update={"engine": "transformers"})
    make_folder(settings.home / "work")
    folder = Path(mkdtemp(prefix="rows-", dir=settings.home / "work"))
    try:
        with closing(Views(settings.home)) as views:
            checkpoint = stage_checkpoint(views, named, settings)
            quantised = quantisation_of(checkpoint.path)
            if quantised is not None and "influence" in scores:
                raise InvalidTaskData(
                    f"{named} is quantised ({quantised}), and self-influence needs gradients: give "
                    "the model that it was made from, or ask for --scores shift alone"
                )
            shutil.copyfile(rows, folder / "rows.jsonl")
            job = folder / "job.json"
            document = {
                "checkpoint": str(checkpoint.path),
                "rows": str(folder / "rows.jsonl"),
                "scores": scores,
            }
            job.write_text(json.dumps(document), encoding="utf-8")
            child = TrainingChild(settings)
            with naming_sources(checkpoint), closing(child.run(job, CHILD)) as lines:
                for line in lines:
                    if line["event"] not in {"done", "error"}:
                        say(line.pop("event"), **line)
            if not checkpoint.view.untouched():
                raise CheckpointTouched(f"{named} was touched meanwhile; audit again")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
