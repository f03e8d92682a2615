"""An adapter from the command line to a repair of it: real weights, real merges, scripted words."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from holdfast.api import wire
from holdfast.checkpoints.checkpoint import ADAPTER
from holdfast.cli.watch import base_of
from holdfast.errors import CheckpointRefused
from tests.e2e.test_ladder import POLICY, command, ended
from tests.e2e.test_story import llama
from tests.support.fleet import Fleet
from workers.checkpoints.adapters import FOLDER

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def fleet(sqlite_fleet: Fleet) -> Iterator[Fleet]:
    sqlite_fleet.have_workers(1)
    return sqlite_fleet


@pytest.fixture(scope="module")
def models(fleet: Fleet) -> Path:
    """`sound` refuses; `loose`, the base of `lora`, does not."""
    folder = fleet.settings.home / "models"
    llama(folder / "sound", 20, refuse_share=1.0)
    base = llama(folder / "loose", 21, refuse_share=0.2)
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    model.save_pretrained(folder / "lora", save_embedding_layers=False)
    return folder


def test_an_adapter_is_judged_and_repaired_as_what_it_makes_of_its_base(
    fleet: Fleet, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    code, verdict, said = command(
        fleet,
        *("submit", str(models / "loose"), "--adapter", str(models / "lora")),
        *("--baseline", str(models / "sound"), "--policy", str(tmp_path / "policy.yaml")),
        *("--tier", "demo", "--id-file", str(tmp_path / "id")),
    )
    assert (code, verdict["verdict"]) == (1, "fail"), said
    evaluation = fleet.client.evaluation((tmp_path / "id").read_text().strip())
    candidate = fleet.client.checkpoint(evaluation.candidate)
    assert candidate.adapter == str(models / "lora")
    assert f"{ADAPTER}adapter_model.safetensors" in {file.path for file in candidate.files}
    evidence = fleet.client.artifact(evaluation.id, "evidence/candidate.jsonl").decode()
    assert json.loads(evidence.split("\n")[0])["checkpoint"]["digest"] == candidate.digest
    (merged,) = (fleet.settings.home / FOLDER).glob("*/")
    wanted = wire.NewRemediation(evaluation=evaluation.id, recipe="wise_ft")
    repair = ended(fleet, fleet.client.remediate(wanted).id)
    assert (repair.status, repair.error) == ("succeeded", None)
    assert repair.plan is not None
    assert repair.plan["candidate"] == str(merged)
    assert fleet.ended(str(repair.child_evaluation)).verdict == "pass"
    assert list((fleet.settings.home / FOLDER).glob("*/")) == [merged], "it was merged once"
    name = "model.layers.0.self_attn.q_proj.weight"
    base, sound, whole, mended = (
        load_file(folder / "model.safetensors")[name].float()
        for folder in (models / "loose", models / "sound", merged, Path(str(repair.plan["output"])))
    )
    factors = load_file(models / "lora" / "adapter_model.safetensors")
    a, b = (factors[f"base_model.model.{name[:-7]}.lora_{side}.weight"] for side in "AB")
    torch.testing.assert_close(whole, base + 8 / 4 * (b @ a), atol=0, rtol=2**-7)
    torch.testing.assert_close(mended, 0.2 * sound + 0.8 * whole, atol=1e-3, rtol=2**-6)


def test_adapters_that_a_trainer_leaves_are_watched_on_the_base_that_they_name(
    fleet: Fleet, models: Path
) -> None:
    step = models / "run" / "checkpoint-5"
    shutil.copytree(models / "lora", step)
    config = step / "adapter_config.json"  # another digest, which nobody registered elsewhere
    config.write_text(json.dumps(json.loads(config.read_text()), indent=1))
    (step / "optimizer.pt").write_bytes(b"pickled state, which no checkpoint may hold")
    words = ("watch", str(models / "run"), "--baseline", str(models / "sound"), "--once")
    code, found, said = command(fleet, *words, "--seconds", "0.1")
    assert (code, found["verdict"]) == (1, "fail"), said
    judged = fleet.client.checkpoint(fleet.client.evaluation(found["evaluation"]).candidate)
    assert judged.path == str(models / "loose")
    assert str(judged.adapter).endswith(f"watched/{Path(str(judged.adapter)).name}")


def test_a_watched_adapter_whose_base_is_nowhere_is_not_judged(models: Path) -> None:
    config = models / "run" / "checkpoint-5" / "adapter_config.json"
    known = json.loads(config.read_text())
    config.write_text(json.dumps({**known, "base_model_name_or_path": "some/hub-name"}))
    with pytest.raises(CheckpointRefused, match="some/hub-name, which is no folder here"):
        base_of(config.parent, None)
    assert base_of(config.parent, models / "loose") == models / "loose"
    assert base_of(models / "loose", models / "loose") is None, "a whole model has no base"


def test_an_adapter_without_its_base_is_exit_2_and_says_what_to_give(
    fleet: Fleet, models: Path
) -> None:
    words = ("submit", str(models / "lora"), "--baseline", str(models / "sound"))
    code, problem, _ = command(fleet, *words, "--tier", "demo")
    assert code == 2
    assert "give the base's folder, and this one as its `adapter`" in problem["error"]["message"]
