"""Arguments that several commands share, and what their words may be."""

import argparse
import json
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

from holdfast.cli.command import Argument, argument
from holdfast.ids import is_id, names_no_path
from holdfast.job import Split, Tier

TIERS, SPLITS = get_args(Tier), get_args(Split)
READERS = "refusal, guard, rubric"  # judges that sort answers into the three classes
ROW_SCORES = ("shift", "influence")  # that a model gives training rows
FORMATS = "text, md, html, json, junit, sarif, codequality"  # of reports
PUBLISHED = (  # forms of published sets that `holdfast suites import` reads
    "advbench, harmbench, jailbreakbench, strongreject, xstest, do-not-answer, simplesafetytests, "
    "bbq, crows-pairs, gsm8k, lambada, mmlu, arc, openbookqa, truthfulqa, piqa, boolq, winogrande, "
    "hh-rlhf, pku-saferlhf, preferences, alpaca, native"
)
MINUTES = {"m": 1, "h": 60, "": 1}


def seconds(text: str) -> float:
    """A number of seconds of at least 0; argparse turns the error into a usage message."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


def minutes(text: str) -> int:
    """A budget such as 30m or 2h, in minutes."""
    parts = re.fullmatch(r"(\d+)([mh]?)", text)
    if parts is None or int(parts[1]) == 0:
        raise ValueError(text)
    return int(parts[1]) * MINUTES[parts[2]]


def moment(text: str) -> datetime:
    """A time with its zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time


def job_id(text: str) -> str:
    """An id that a job can have."""
    if not text.startswith(("eval_", "rem_")):
        raise argparse.ArgumentTypeError(
            f"{text} is no id of an evaluation (eval_...) or remediation (rem_...)"
        )
    return text


def file_path(text: str) -> str:
    """The path of a file; an id or an alias is none, even where a file has that very name."""
    if names_no_path(text):
        raise argparse.ArgumentTypeError(
            f"{text} is an id or an alias, expected a file; for one of that name write ./{text}"
        )
    return text


def file_or_checkpoint(text: str) -> str:
    """The path of a file, or the id of a checkpoint."""
    return text if is_id(text, "ckpt") else file_path(text)


def option(text: str) -> tuple[str, Any]:
    """A KEY=VALUE, such as lora.rank=8; the value is JSON, or text where it is none."""
    key, equals, value = text.partition("=")
    if not (equals and all(key.split("."))):
        raise ValueError(text)
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def label(text: str) -> tuple[str, str]:
    """A NAME=VALUE, whose value is text whatever it looks like."""
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise ValueError(text)
    return name, value


evidence_file = partial(argument, type=file_path)
stage = partial(argument, type=file_or_checkpoint)
PROJECT = argument("--project", default="default")
ALIAS = argument("alias")
POLICY = argument("policy", help="a policy file, or demo, standard, release")
PORT = argument("--port", type=int, help="where the API listens (0: any free port)")
ROOT = argument(
    "--root",
    type=Path,
    action="append",
    default=[],
    metavar="DIR",
    help="checkpoints may lie here too, beside the folder where it is started; may be repeated",
)
ID = argument("id", type=job_id, metavar="ID", help="eval_..., or rem_... to wait for")
RUN = argument("id", type=job_id, metavar="ID", help="eval_... or rem_...")
TIMEOUT = argument("--timeout", type=seconds, metavar="SECONDS", help="exit 5 after this long")
REPORTS = argument(
    "--report",
    action="append",
    default=[],
    metavar="FORMAT=FILE",
    help=f"also write the verdict to a file, as {FORMATS}; may be repeated",
)
GATE = argument("--gate", default="holdfast", help="its name on pull requests: a comment for each")
COMMENT = (
    argument("--comment", action="store_true", help="in CI: tell the pull request and its commit"),
    GATE,
)
EVALUATION = (
    argument("candidate", help="a checkpoint folder, or ckpt_..."),
    argument("--adapter", metavar="DIR", help="a LoRA adapter, of which the candidate is the base"),
    argument("--baseline", required=True, help="a folder, ckpt_..., or alias:NAME"),
    argument("--anchor", help="a second baseline, pinned; default: alias:anchor if it is set"),
    argument("--task-data", metavar="FILE", help="rows of the task (docs/task-data.md)"),
    argument("--split", choices=SPLITS, default="screen"),
    argument(
        "--template",
        default="baseline",
        choices=("baseline", "candidate"),
        help="whose chat template renders both",
    ),
    argument(
        "--template-argument",
        action="append",
        default=[],
        type=option,
        metavar="NAME=VALUE",
        help="what the chat template is told, such as enable_thinking=false",
    ),
    argument(
        "--label",
        action="append",
        default=[],
        type=label,
        metavar="NAME=VALUE",
        help="to find it by again; may be repeated",
    ),
    REPORTS,
    *COMMENT,
    TIMEOUT,
)
EVIDENCE = (
    evidence_file("--baseline", required=True, metavar="A.jsonl", help="of the trusted one"),
    evidence_file("--candidate", required=True, metavar="B.jsonl", help="of the new one"),
    argument("--policy", required=True, help="a policy file, or demo, standard, release"),
    evidence_file("--repaired-from", metavar="D.jsonl", help="of the checkpoint it repairs"),
    argument(
        "--as-of",
        type=moment,
        metavar="TIME",
        help="judge waivers at this moment (ISO 8601 with zone); default: when B was made",
    ),
    evidence_file("--anchor", metavar="C.jsonl", help="of a pinned second baseline"),
    REPORTS,
    *COMMENT,
)
LADDER: tuple[Argument, ...] = (
    argument("--budget", type=minutes, metavar="TIME", help="for auto, such as 30m or 2h"),
    argument("--candidates", type=int, metavar="N", help="for auto: how many tries at most"),
    argument("--complete-front", action="store_true", help="for auto: go on once one is found"),
    argument("--only", metavar="A,B", help="for auto: of its recipes, those to climb"),
)
