"""`holdfast policy`: check, show, compare and waive policies; replay finished runs under one."""

import argparse
from dataclasses import asdict

from holdfast.api.client import Client
from holdfast.cli.bodies import body
from holdfast.cli.command import emit, note, note_table
from holdfast.cli.reports import evidence_files
from holdfast.evidence.file import Evidence, parse_evidence, read_evidence
from holdfast.policy.model import GatePolicy, Waiver
from holdfast.policy.text import load_policy
from holdfast.policy.waiver import waive as write_waiver
from holdfast.settings import suites_folder
from holdfast.stack.connect import connect
from holdfast.verdict.replay import changes
from holdfast.verdict.replay import replay as judge_again


def lint(options: argparse.Namespace) -> int:
    """Say whether a policy can be used, and how often a harmless change would pass it."""
    from holdfast.forecast.power import FLIPS
    from holdfast.forecast.power import lint as power_of

    policy = load_policy(options.policy)
    baseline = None if options.baseline is None else read_evidence(options.baseline)
    tier = options.tier or (baseline.manifest.tier if baseline else "standard")
    power = power_of(policy, tier, suites_folder(), baseline)
    rows = [
        (row.probe, row.rule, str(row.n), f"{row.margin:g}", *map(_chance, row.chances))
        for row in power.rows
    ]
    note(f"{policy.name}: chance to pass, by share of answers that flip")
    note_table(
        ("probe", "rule", "n", "margin", *(f"{psi:.0%}" for psi in FLIPS)),
        [*rows, ("all together", "", "", "", *map(_chance, power.joint))],
    )
    for warning in power.warnings:
        note(f"warning: {warning}")
    document = {"name": policy.name, "digest": policy.digest, "flips": FLIPS, **asdict(power)}
    emit(options, document, f"policy {policy.name} can be used: {policy.digest}")
    return 0


def _chance(chance: float) -> str:
    return f"{chance:.2f}"


def show(options: argparse.Namespace) -> int:
    """Print a policy as it is understood, defaults filled in."""
    policy = load_policy(options.policy)
    content = policy.model_dump(mode="json")
    emit(options, {**content, "digest": policy.digest}, _readable(policy))
    return 0


def _readable(policy: GatePolicy) -> str:
    """A policy file that means the same: what is not set is left out, as a reader of it demands."""
    import yaml

    content = policy.model_dump(mode="json", exclude_none=True)
    return f"# digest {policy.digest}\n{yaml.safe_dump(content, sort_keys=False)}"


def replay(options: argparse.Namespace) -> int:
    """Judge finished evaluations again under this policy, and say which verdicts would change."""
    policy = load_policy(options.policy)
    rows = []
    with connect() as client:
        for evaluation in options.evaluations:
            was = client.verdict(evaluation)
            now = judge_again(policy, evidence_of(client, evaluation))
            rows.append((evaluation, was, now))
    document = [
        {"evaluation": name, "was": was.verdict, "now": now.verdict, "reasons": now.reasons}
        for name, was, now in rows
    ]
    lines = [f"{name}: {was.verdict} -> {now.verdict}; {now.reasons[0]}" for name, was, now in rows]
    emit(options, {"policy_digest": policy.digest, "evaluations": document}, "\n".join(lines))
    return 0


def evidence_of(client: Client, evaluation: str) -> dict[str, Evidence]:
    """The evidence that an evaluation left, by side."""
    files = evidence_files(client, evaluation)
    return {side: parse_evidence(text, source=f"{side}.jsonl") for side, text in files.items()}


def diff(options: argparse.Namespace) -> int:
    """Print every key in which two policies differ, once understood."""
    before, after = load_policy(options.policy), load_policy(options.other)
    differences = changes(before, after)
    lines = [f"{change.path}: {change.before} -> {change.after}" for change in differences]
    document = {
        "digests": [before.digest, after.digest],
        "changes": [asdict(change) for change in differences],
    }
    emit(options, document, "\n".join(lines) or "the two policies mean the same")
    return 0


def waive(options: argparse.Namespace) -> int:
    """Excuse one check of a policy file until a day, in somebody's name."""
    fields = {name: getattr(options, name) for name in ("check", "owner", "reason", "expires")}
    policy = write_waiver(options.policy, body(Waiver, **fields))
    document = {"digest": policy.digest, "waivers": policy.model_dump(mode="json")["waivers"]}
    emit(options, document, f"{options.policy}: {options.check} is waived until {options.expires}")
    return 0
