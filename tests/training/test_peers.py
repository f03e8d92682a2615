"""DPO beside TRL's trainer and averages beside mergekit's: to the rounding of fp32.

What the peers said is kept in tests/data/peers, each file with the versions that made it and made
again by the module in tests/support that it is named after. Where a peer is installed in
.tools/peers (benchmarks/steps.py and benchmarks/merge.py say how), it is asked here and now too.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from holdfast.repairs.plan import Plan
from tests.support.peer_mergekit import WEIGHT
from tests.support.toy_models import BETA, PAIRS, digest, toy
from training.objectives.losses import preference_figures
from training.passes.preference import (
    Contest,
    PreferenceSettings,
    pair_logprobs,
    prefer,
    preference_losses,
)
from training.progress import Report
from training.recipes import wise_ft

PlanOf = Callable[..., Plan]
REPOSITORY = Path(__file__).parents[2]
KEPT = REPOSITORY / "tests" / "data" / "peers"
CONTESTS = [Contest(*(tuple(tokens) for tokens in pair), margin=0.0) for pair in PAIRS]


def asked(peer: str, *arguments: object) -> str:
    """What the peer says now; skips where it is not installed."""
    python = REPOSITORY / ".tools" / "peers" / peer / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{peer} is not installed in .tools/peers")
    module = f"tests.support.peer_{peer}"
    command = [str(python), "-m", module, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}  # also where PYTHONSAFEPATH is set
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def said(peer: str, when: str) -> dict[str, Any]:
    text = asked(peer) if when == "now" else (KEPT / f"{peer}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


WHEN = pytest.mark.parametrize("when", ["kept", "now"])


@WHEN
def test_preference_losses_and_gradients_are_trls(when: str) -> None:
    theirs = said("trl", when)
    policy, baseline = toy(1.0).double(), toy(2.0).double()  # the rounding that is left is theirs
    how = PreferenceSettings(BETA, None, pad=0)
    with torch.no_grad():
        reference = pair_logprobs(baseline, CONTESTS, pad=0)
        alone, sums = preference_losses(policy, CONTESTS, reference, how)
    assert alone.tolist() == pytest.approx(theirs["losses"], abs=1e-6)
    assert preference_figures(sums, reference, BETA) == pytest.approx(theirs["figures"], abs=1e-5)
    mean = prefer(policy, CONTESTS, reference, how, 4)
    assert mean["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
    gradient = {name: digest(weight.grad) for name, weight in policy.named_parameters()}
    assert gradient.keys() == theirs["gradient"].keys()
    for name, numbers in theirs["gradient"].items():
        assert gradient[name] == pytest.approx(numbers, abs=1e-5), name


@pytest.fixture
def average(tmp_path: Path, plan_of: PlanOf, report: Report) -> tuple[Plan, dict[str, Tensor]]:
    """Two toys on the disk, and our average of them."""
    sides = {name: tmp_path / name for name in ("baseline", "candidate")}
    for shift, folder in enumerate(sides.values(), start=1):
        toy(float(shift)).save_pretrained(folder)
    plan = plan_of("wise_ft", candidate_weight=WEIGHT, **sides)
    wise_ft.run(plan, report)
    return plan, load_file(plan.output / "model.safetensors")


def test_an_average_is_mergekits_linear_merge_as_it_was_kept(
    average: tuple[Plan, dict[str, Tensor]],
) -> None:
    _, ours = average
    theirs = said("mergekit", "kept")
    assert theirs["weight"] == WEIGHT
    assert ours.keys() == theirs["tensors"].keys()
    for name, numbers in theirs["tensors"].items():
        assert digest(ours[name]) == pytest.approx(numbers, abs=1e-6), name


def test_an_average_is_mergekits_linear_merge_number_by_number(
    tmp_path: Path, average: tuple[Plan, dict[str, Tensor]]
) -> None:
    plan, ours = average
    asked("mergekit", plan.baseline, plan.candidate, tmp_path / "merged")
    (file,) = (tmp_path / "merged").glob("*.safetensors")
    theirs = load_file(file)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-6, rtol=0, msg=name)
