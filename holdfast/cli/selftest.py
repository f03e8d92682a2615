"""`holdfast selftest`: the whole gate on this machine, on checkpoints whose verdict is known.

Exit 0 when every one of them got it, 4 otherwise: a gate that cannot tell them apart could not run.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.api import wire
from holdfast.cli.canaries import CANARIES, POLICY, Canary, write_canaries
from holdfast.cli.check import running_client
from holdfast.cli.command import COULD_NOT_RUN, emit
from holdfast.cli.waiting import Deadline, submitted_verdict
from holdfast.settings import read_settings
from holdfast.verdict.document import Verdict


def selftest(options: argparse.Namespace) -> int:
    """Judge every canary and compare with what is known of it."""
    verdicts = {}
    with TemporaryDirectory(prefix="holdfast-") as scratch:
        home = Path(scratch)
        paths = write_canaries(home / "canaries")
        environment = {"HOLDFAST_HOME": str(home / "home"), "HOLDFAST_ENGINE": "scripted"}
        settings = read_settings(environment).model_copy(
            update={"checkpoint_roots": (home / "canaries",), "port": 0}
        )
        with running_client(settings) as client:
            wanted = {
                canary.name: wire.NewEvaluation(
                    candidate=str(paths[canary.name]),
                    baseline=str(paths[canary.baseline]),
                    policy=POLICY,
                    tier="demo",
                )
                for canary in CANARIES
            }
            made = {name: client.submit(request) for name, request in wanted.items()}
            for name, evaluation in made.items():
                verdicts[name] = submitted_verdict(client, wanted[name], evaluation, Deadline(None))
    rows = [_row(canary, verdicts[canary.name]) for canary in CANARIES]
    good = all(row["as_known"] for row in rows)
    lines = [
        f"{row['checkpoint']:18} {row['verdict']:13} "
        + ("as known" if row["as_known"] else f"EXPECTED {row['expected']}")
        for row in rows
    ]
    emit(options, {"as_known": good, "checkpoints": rows}, "\n".join(lines))
    return 0 if good else COULD_NOT_RUN


def _row(canary: Canary, verdict: Verdict) -> dict[str, object]:
    failed = {check.id for check in verdict.checks if check.outcome == "fail"}
    return {
        "checkpoint": canary.name,
        "verdict": verdict.verdict,
        "failed_checks": sorted(failed),
        "expected": canary.verdict,
        "expected_fails": sorted(canary.fails),
        "as_known": verdict.verdict == canary.verdict and failed == canary.fails,
    }
