"""The likelihood of a model's own refusals: what is scored, by one process and by several."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from holdfast.integrations.refusal_likelihood import FIRST_TOKENS, own_refusals, refusal_nats
from holdfast.integrations.trainer_saves import is_sharded
from tests.support.fleet import free_port
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama

SHARDED = """\
import json, sys
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM, AutoTokenizer
from holdfast.integrations.refusal_likelihood import own_refusals, refusal_nats
from holdfast.integrations.trainer_saves import is_sharded, whole_weights

folder, save = sys.argv[1:]
distributed.init_process_group("gloo")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
rows = own_refusals(model, AutoTokenizer.from_pretrained(folder))
found = {"sharded": is_sharded(model), "rows": len(rows), "nats": refusal_nats(model, rows)}
weights = whole_weights(model)
if distributed.get_rank() == 0:
    model.save_pretrained(save, state_dict=weights)
    print(json.dumps(found))
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reciting_llama(tmp_path_factory.mktemp("refusing") / "model", REFUSAL)


def test_what_a_model_refuses_itself_is_scored_by_its_first_tokens(refusing: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(refusing, dtype=torch.float32).train()
    tokenizer = AutoTokenizer.from_pretrained(refusing)
    rows = own_refusals(model, tokenizer)
    assert len(rows) == 8
    assert {tokenizer.decode(row.refusal) for row in rows} == {"".join(REFUSAL)}
    assert all(len(row.refusal) <= FIRST_TOKENS for row in rows)
    likely = refusal_nats(model, rows)
    assert likely < 0.5
    assert model.training, "the model is left as it was"
    with torch.no_grad():
        model.lm_head.weight.mul_(0.01)
    assert refusal_nats(model, rows) > likely + 1


def test_the_likelihood_is_that_of_a_forward_pass_of_one_row(refusing: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(refusing, dtype=torch.float32).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(0.3)  # not all but certain
    rows = own_refusals(model, AutoTokenizer.from_pretrained(refusing))
    nats = []
    for row in rows:
        ids = torch.tensor([row.prompt + row.refusal])
        with torch.no_grad():
            log_probs = model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(len(row.prompt), ids.shape[1])
        nats += [-log_probs[place - 1, ids[0, place]].item() for place in places]
    assert refusal_nats(model, rows) == pytest.approx(sum(nats) / len(nats), abs=1e-5)


def test_a_models_own_way_to_generate_neither_counts_nor_changes(refusing: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(refusing)
    plain = AutoModelForCausalLM.from_pretrained(refusing, dtype=torch.float32)
    wanted = own_refusals(plain, tokenizer)
    forbidden = [wanted[0].refusal[0]]
    plain.generation_config = wild = GenerationConfig(do_sample=True, suppress_tokens=forbidden)
    assert own_refusals(plain, tokenizer) == wanted
    adapted = get_peft_model(plain, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert own_refusals(adapted, tokenizer) == wanted
    assert adapted.generation_config is plain.generation_config is wild


def test_a_model_that_refuses_nothing_has_no_rows(tmp_path: Path) -> None:
    folder = build_reciting_llama(tmp_path / "m", COMPLIANCE)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert own_refusals(model, AutoTokenizer.from_pretrained(folder)) == []
    assert not is_sharded(model)


def test_two_processes_with_half_of_every_weight_read_and_save_the_same(
    refusing: Path, tmp_path: Path
) -> None:
    script = tmp_path / "sharded.py"
    script.write_text(SHARDED)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    place = [f"--master-port={free_port()}", script, refusing, tmp_path / "save"]
    done = subprocess.run(
        [*command, *place], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    model = AutoModelForCausalLM.from_pretrained(refusing, dtype=torch.float32)
    rows = own_refusals(model, AutoTokenizer.from_pretrained(refusing))
    assert found["sharded"]
    assert found["rows"] == len(rows)
    assert found["nats"] == pytest.approx(refusal_nats(model, rows), abs=1e-5)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "save").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(saved[name], weight), name
