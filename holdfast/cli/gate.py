"""The offline commands: evidence files in, verdict out; and what a policy is worth.

They need no server, no database and no model, so they also judge old runs under a new policy.
"""

import argparse
from dataclasses import asdict
from typing import get_args

from rich.console import Console
from rich.table import Table

from holdfast.cli.command import Command, argument, emit, note
from holdfast.cli.show import REPORTS, report_targets, show_verdict
from holdfast.policy import load_policy
from holdfast.probe import Tier

POLICY = argument("policy", help="a policy file, or demo, standard, release")


def gate(options: argparse.Namespace) -> int:
    """Judge two evidence files under a policy."""
    from holdfast.gate import gate as decide_files

    report_targets(options)
    verdict = decide_files(
        options.policy,
        options.baseline,
        options.candidate,
        options.repaired_from,
        options.anchor,
    )
    return show_verdict(options, verdict)


def lint(options: argparse.Namespace) -> int:
    """Say whether a policy can be used, and how often a harmless change would pass it."""
    from holdfast.lint import FLIPS
    from holdfast.lint import lint as power_of

    policy = load_policy(options.policy)
    found = power_of(policy, options.tier)
    table = Table(title=f"{policy.name}: chance to pass, by share of answers that flip")
    for heading in ("probe", "rule", "n", "margin", *(f"{psi:.0%}" for psi in FLIPS)):
        table.add_column(heading)
    for row in found.rows:
        chances = (f"{chance:.2f}" for chance in row.chances)
        table.add_row(row.probe, row.rule, str(row.n), f"{row.margin:g}", *chances)
    table.add_row("all together", "", "", "", *(f"{chance:.2f}" for chance in found.joint))
    Console(stderr=True).print(table)
    for warning in found.warnings:
        note(f"warning: {warning}")
    document = {"name": policy.name, "digest": policy.digest, "flips": FLIPS, **asdict(found)}
    emit(options, document, f"policy {policy.name} can be used: {policy.digest}")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print a policy as it is understood, defaults filled in."""
    policy = load_policy(options.policy)
    content = policy.model_dump(mode="json")
    emit(options, {**content, "digest": policy.digest}, _readable(content, policy.digest))
    return 0


def _readable(content: object, digest: str) -> str:
    import yaml

    return f"# digest {digest}\n{yaml.safe_dump(content, sort_keys=False)}"


EVIDENCE = (
    argument("--baseline", required=True, metavar="A.jsonl", help="evidence of the trusted one"),
    argument("--candidate", required=True, metavar="B.jsonl", help="evidence of the new one"),
    argument("--policy", required=True, help="a policy file, or demo, standard, release"),
    argument("--repaired-from", metavar="D.jsonl", help="evidence of the checkpoint it repairs"),
    argument("--anchor", metavar="C.jsonl", help="evidence of a pinned second baseline"),
    REPORTS,
)

COMMANDS = (
    Command("gate", "judge two evidence files, offline", gate, EVIDENCE),
    Command(
        "policy lint",
        "check a policy, and how much it can show",
        lint,
        (POLICY, argument("--tier", choices=get_args(Tier), default="standard")),
    ),
    Command("policy show", "print a policy as it is understood", show, (POLICY,)),
)
