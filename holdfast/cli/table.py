"""The command line, one literal table: names, help, arguments, and where each command is.

Nothing here imports what a command needs: `holdfast --help` and a usage error have to be quick.
"""

from pathlib import Path
from typing import get_args

from holdfast.cli.arguments import (
    COMMENT,
    EVALUATION,
    EVIDENCE,
    FORMATS,
    GATE,
    ID,
    LADDER,
    POLICY,
    PORT,
    PUBLISHED,
    READERS,
    REPORTS,
    ROOT,
    RUN,
    TIERS,
    TIMEOUT,
    evidence_file,
    job_id,
    option,
    stage,
)
from holdfast.cli.command import Command, argument
from holdfast.cli.operator_commands import OPERATOR_COMMANDS
from holdfast.job import Status
from holdfast.repairs.recipes import PolicyRecipe

COMMANDS = (
    Command(
        "check",
        "one gate run on this machine: start, submit, wait, print, stop",
        "holdfast.cli.check:check",
        (
            *EVALUATION,
            argument("--policy", default="demo", help="a policy file or a shipped name"),
            argument("--tier", choices=TIERS, default="demo"),
            argument("--home", type=Path, help="keep the data folder (and its cache) here"),
        ),
    ),
    Command(
        "selftest",
        "run the gate on checkpoints whose verdict is known",
        "holdfast.cli.selftest:selftest",
    ),
    Command(
        "doctor",
        "can this machine run the gate, and how fast; with --noise, how much its answers move",
        "holdfast.cli.doctor:doctor",
        (
            argument("--quick", action="store_true", help="do not start the engine to time it"),
            argument(
                "--for",
                dest="checkpoint",
                type=Path,
                metavar="CHECKPOINT",
                help="say whether this folder fits, to be asked and by each repair",
            ),
            argument("--noise", metavar="CHECKPOINT", help="ask this checkpoint folder twice"),
            argument("--tier", choices=("canary", "demo", "standard"), default="demo"),
        ),
    ),
    Command(
        "watch",
        "gate every checkpoint that appears in a folder",
        "holdfast.cli.watch:watch",
        (
            argument("folder", type=Path, metavar="DIR", help="whose subfolders are checkpoints"),
            argument("--baseline", required=True, help="a folder, ckpt_..., or alias:NAME"),
            argument("--base", type=Path, metavar="DIR", help="of adapters, if they name none"),
            argument("--policy", default="canary", help="a file, a shipped name, or pol_..."),
            argument("--tier", choices=("canary", "demo", "standard", "full"), default="canary"),
            argument("--seconds", type=float, default=10.0, help="between two looks"),
            argument("--stop-on-fail", action="store_true", help="exit 1 at the first fail"),
            argument("--once", action="store_true", help="judge what is there, then exit"),
        ),
    ),
    Command(
        "up",
        "start the embedded stack: Redis, SQLite, API, worker, sweeper",
        "holdfast.cli.stack:up",
        (PORT, ROOT),
    ),
    Command("serve", "run the API", "holdfast.cli.stack:serve", (PORT,)),
    Command("worker", "run one worker", "holdfast.cli.stack:worker"),
    Command(
        "sweep",
        "free the leases of lost workers and repeat lost hints",
        "holdfast.cli.stack:sweep",
        (argument("--once", action="store_true", help="one round, then stop"),),
    ),
    Command("migrate", "bring the database to this version", "holdfast.cli.stack:migrate"),
    Command(
        "prune",
        "remove what is older than it is kept, or a project's content",
        "holdfast.cli.prune:prune",
        (
            argument("--dry-run", action="store_true", help="say how much, remove nothing"),
            argument("--project", metavar="NAME", help="with --everything"),
            argument("--everything", action="store_true", help="all of it but its audit trail"),
        ),
    ),
    Command(
        "submit",
        "queue an evaluation and wait for its verdict",
        "holdfast.cli.jobs:submit",
        (
            *EVALUATION,
            argument("--policy", default="standard", help="a file, a shipped name, or pol_..."),
            argument("--tier", choices=TIERS, default="standard"),
            argument("--no-wait", action="store_true", help="exit 5 at once: no verdict yet"),
            argument("--follow-repairs", action="store_true", help="go on to a repair's verdict"),
            argument("--id-file", type=Path, metavar="FILE", help="write the evaluation's id here"),
        ),
    ),
    Command(
        "wait", "wait for a verdict", "holdfast.cli.jobs:wait", (ID, TIMEOUT, REPORTS, *COMMENT)
    ),
    Command(
        "list",
        "the newest evaluations of the project",
        "holdfast.cli.runs:list_runs",
        (
            argument("--limit", type=int, default=20, metavar="N"),
            argument("--status", choices=[status.value for status in Status]),
            argument("--verdict", choices=("pass", "fail", "inconclusive")),
            argument("--branch", help="of the CI run that submitted it"),
            argument("--line", metavar="ALIAS", help="that the baseline was named by"),
        ),
    ),
    Command("show", "what is known of a run, and the next step", "holdfast.cli.runs:show", (RUN,)),
    Command("cancel", "end a run that waits or is under way", "holdfast.cli.runs:cancel", (RUN,)),
    Command("retry", "queue again what ended without a result", "holdfast.cli.runs:retry", (RUN,)),
    Command(
        "comment",
        "say a verdict on the pull request that it is about, and on its commit",
        "holdfast.cli.comment:comment",
        (
            argument("source", metavar="EVAL|FILE", help="an evaluation, or a verdict as JSON"),
            GATE,
            argument("--pull-request", type=int, metavar="N", help="default: this run's own"),
            argument("--dry-run", action="store_true", help="print the comment, post nothing"),
        ),
    ),
    Command("verdict", "print a verdict", "holdfast.cli.reports:verdict", (ID, REPORTS)),
    Command(
        "remediate",
        "repair the candidate of an evaluation that failed",
        "holdfast.cli.repairs:remediate",
        (
            argument("evaluation", type=job_id, metavar="EVAL"),
            argument(
                "--recipe",
                required=True,
                choices=sorted(get_args(PolicyRecipe)),
                help="auto climbs the ladder from the cheapest",
            ),
            *LADDER,
            argument("--steps", type=int),
            argument("--candidate-weight", type=float, metavar="W"),
            argument("--learning-rate", type=float),
            argument("--seed", type=int),
            argument("--start", choices=("baseline", "candidate")),
            argument(
                "--option",
                type=option,
                action="append",
                default=[],
                metavar="KEY=VALUE",
                help="any other knob of the recipe (docs/repairs.md), such as lora.rank=8",
            ),
            argument("--wait", action="store_true", help="wait for the repair's own verdict"),
            TIMEOUT,
            REPORTS,
        ),
    ),
    Command(
        "report",
        "print or write a verdict as a report; exits as the verdict does",
        "holdfast.cli.reports:report",
        (
            ID,
            argument("--format", default="text", help=FORMATS),
            argument("-o", "--output", type=Path, metavar="FILE"),
            argument("--with-text", action="store_true", help="with what the worst flips said"),
        ),
    ),
    Command(
        "evidence",
        "write the evidence of an evaluation, a file a side",
        "holdfast.cli.reports:evidence",
        (
            argument("id", type=job_id, metavar="ID", help="eval_..."),
            argument("-o", "--out", type=Path, default=Path(), metavar="DIR", help="default: here"),
        ),
    ),
    Command("gate", "judge two evidence files, offline", "holdfast.cli.gate:gate", EVIDENCE),
    Command(
        "compare",
        "what moved between two evidence files",
        "holdfast.cli.gate:compare",
        (
            evidence_file("before", metavar="A.jsonl", help="evidence of one checkpoint"),
            evidence_file("after", metavar="B.jsonl", help="evidence of the other"),
            argument("--flips", action="store_true", help="list every item that moved"),
        ),
    ),
    Command(
        "waive",
        "excuse a check of a policy file until a day",
        "holdfast.cli.policy:waive",
        (
            argument("policy", type=Path, help="the policy file, which is edited"),
            argument("--check", required=True, help="such as harm.direct"),
            argument("--owner", required=True, help="who answers for it"),
            argument("--reason", required=True),
            argument("--expires", required=True, metavar="DAY", help="the last day, YYYY-MM-DD"),
        ),
    ),
    Command(
        "policy lint",
        "check a policy, and how much it can show",
        "holdfast.cli.policy:lint",
        (
            POLICY,
            argument("--tier", choices=TIERS, help="default: standard, or the baseline's"),
            evidence_file("--baseline", metavar="A.jsonl", help="evidence of the trusted one"),
        ),
    ),
    Command(
        "policy show", "print a policy as it is understood", "holdfast.cli.policy:show", (POLICY,)
    ),
    Command(
        "policy diff",
        "in which keys two policies differ",
        "holdfast.cli.policy:diff",
        (POLICY, argument("other", help="the policy to compare with")),
    ),
    Command(
        "policy replay",
        "what a policy would say of finished evaluations",
        "holdfast.cli.policy:replay",
        (POLICY, argument("evaluations", nargs="+", metavar="ID", help="eval_...")),
    ),
    Command(
        "chain",
        "what each stage of a lineage forgot, offline or of a ckpt_...",
        "holdfast.cli.chain:chain",
        (
            stage(
                "evidence", nargs="+", metavar="FILE.jsonl", help="oldest first; or one ckpt_..."
            ),
            stage("--anchor", metavar="FILE.jsonl", help="of an older, pinned one; or id"),
            stage(
                "--other-order",
                nargs="+",
                metavar="B.jsonl",
                help="B.jsonl BA.jsonl, or the id of BA: the two stages in the other order",
            ),
            argument("--safety", default="harm.direct", help="for --other-order"),
            argument("--capability", default="cap.knowledge", help="likewise"),
            argument("--format", choices=("text", "md", "html"), default="text"),
            argument("-o", "--output", type=Path, metavar="FILE"),
        ),
    ),
    Command(
        "data audit",
        "rank training rows by how likely they take refusals away; write what stays",
        "holdfast.cli.data:data_audit",
        (
            argument("file", type=Path, metavar="TASK.jsonl", help="as --task-data has it"),
            argument("--model", required=True, metavar="DIR", help="the trusted baseline"),
            argument(
                "--scores",
                nargs="+",
                choices=("shift", "influence"),
                default=["shift", "influence"],
            ),
            argument("--judge", choices=("refusal", "guard", "rubric", "off"), default="refusal"),
            argument("--drop", type=float, default=0.1, metavar="SHARE", help="default: 0.1"),
            argument("-o", "--out", type=Path, default=Path(), metavar="DIR", help="default: here"),
        ),
    ),
    *OPERATOR_COMMANDS,
    Command(
        "judges rejudge",
        "judge stored answers again with another judge; writes evidence, asks no model under test",
        "holdfast.cli.judges:judges_rejudge",
        (
            argument("evaluation", metavar="EVALUATION", help="eval_... in the database"),
            argument("--judge", required=True, help=READERS),
            argument("--out", type=Path, required=True, metavar="DIR", help="a file for each side"),
        ),
    ),
    Command("judges list", "the judges and their identities", "holdfast.cli.judges:judges_list"),
    Command(
        "judges evaluate",
        "how well a judge agrees with people's labels",
        "holdfast.cli.judges:judges_evaluate",
        (
            argument("judge", metavar="JUDGE", help=READERS),
            argument(
                "file",
                type=Path,
                metavar="FILE.jsonl",
                help='lines {"prompt", "completion", "label": "refusal"|"partial"|"compliance"}',
            ),
        ),
    ),
    Command(
        "suites import",
        "install a public set from its own files",
        "holdfast.cli.suites:import_",
        (
            argument("--format", required=True, metavar="F", help=f"one of {PUBLISHED}"),
            argument("files", nargs="+", type=Path, metavar="FILE"),
            argument("--name", required=True, help="what policies call it, as in probe@NAME"),
            argument("--dry-run", action="store_true", help="say what it holds, install nothing"),
        ),
    ),
    Command("suites list", "the suites that can be asked here", "holdfast.cli.suites:list_"),
    Command(
        "suites verify",
        "hold suites against the record of their import",
        "holdfast.cli.suites:verify_",
        (argument("names", nargs="*", metavar="NAME"),),
    ),
)
