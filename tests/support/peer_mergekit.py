"""mergekit's linear merge of two checkpoints in fp32; run by a Python that has mergekit.

    .tools/peers/mergekit/bin/python -m tests.support.peer_mergekit > tests/data/peers/mergekit.json

With two folders and an output it merges those instead, and says nothing.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.toy_models import digest, toy

WEIGHT = 0.8  # of the second


def merge(baseline: Path, candidate: Path, output: Path) -> None:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    configuration = MergeConfiguration.model_validate(
        {
            "merge_method": "linear",
            "dtype": "float32",
            "models": [
                {"model": str(folder), "parameters": {"weight": weight}}
                for folder, weight in ((baseline, 1 - WEIGHT), (candidate, WEIGHT))
            ],
        }
    )
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)
    run_merge(configuration, str(output), options)


def main() -> None:
    if len(sys.argv) > 1:
        merge(*map(Path, sys.argv[1:]))
        return
    from safetensors.torch import load_file

    with TemporaryDirectory() as folder:
        sides = [Path(folder) / name for name in ("baseline", "candidate")]
        for shift, side in enumerate(sides, start=1):
            toy(float(shift)).save_pretrained(side)
        merge(*sides, Path(folder) / "merged")
        (file,) = Path(folder, "merged").glob("*.safetensors")
        found = {
            "made_by": {name: version(name) for name in ("mergekit", "torch")},
            "weight": WEIGHT,
            "tensors": {name: digest(tensor) for name, tensor in sorted(load_file(file).items())},
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
