"""What TRL's DPO trainer says of the toy pairs, as JSON; run by a Python that has TRL.

.tools/peers/trl/bin/python -m tests.support.peer_trl > tests/data/peers/trl.json
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.tiny_llama import build_tiny_llama
from tests.support.toy_models import BETA, PAIRS, digest, toy


def trainer_in(folder: Path) -> Any:
    """A trainer of the toy against another toy; its own rows are never used."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer

    options = trl.DPOConfig(
        output_dir=str(folder),
        beta=BETA,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
    )
    return trl.DPOTrainer(
        model=toy(1.0),
        ref_model=toy(2.0),
        args=options,
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=AutoTokenizer.from_pretrained(build_tiny_llama(folder / "tokenizer")),
    )


def main() -> None:
    with TemporaryDirectory() as folder:
        trainer = trainer_in(Path(folder))
        rows = [
            {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
            for prompt, chosen, rejected in PAIRS
        ]

        def loss(some: list[dict[str, Any]]) -> Any:
            batch = trainer.data_collator(some)
            return trainer._compute_loss(trainer.model, batch, return_outputs=False)

        trainer.model.eval()
        alone = [loss([row]).item() for row in rows]
        trainer._metrics["eval"].clear()
        mean = loss(rows)
        mean.backward()
        figures = trainer._metrics["eval"]
        found = {
            "made_by": {name: version(name) for name in ("trl", "torch", "transformers")},
            "losses": alone,
            "loss": mean.item(),
            "figures": {
                "chosen_reward": figures["rewards/chosen"][-1],
                "rejected_reward": figures["rewards/rejected"][-1],
                "accuracy": figures["rewards/accuracies"][-1],
                "margin": figures["rewards/margins"][-1],
            },
            "gradient": {
                name: digest(weight.grad) for name, weight in trainer.model.named_parameters()
            },
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
