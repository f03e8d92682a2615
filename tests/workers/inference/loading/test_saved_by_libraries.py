"""What trainers, peft and accelerate save themselves: judged as exactly that model, or refused."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast.checkpoints.adapter import admitted_checkpoint
from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend, Message, Sampling
from tests.support.reciting_llama import REFUSAL, build_reciting_llama
from tests.support.saved_by_libraries import JUDGED, REFUSED
from workers.inference.loading.architecture import check_architecture
from workers.inference.transformers.engine import TransformersEngine
from workers.views import Views

BACKEND = Backend("transformers-cpu", "test", "bfloat16")
ASKED = (Message("user", "Go on."),)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reciting_llama(tmp_path_factory.mktemp("clean") / "model", REFUSAL)


def answer(folder: Path, scratch: Path) -> str:
    """What the model in a folder says, loaded as a worker loads it."""
    views = Views(scratch / "home")
    try:
        with ExitStack() as keep:
            admitted = admitted_checkpoint(str(folder), None, [scratch], keep)
            staged = views.stage(admitted.ref, admitted.model)
            check_architecture(staged.path, BACKEND.name)
            engine = TransformersEngine(BACKEND)
            engine.open(staged.path, None)
            ((_, said),) = engine.generate([ASKED], Sampling(8))
            engine.close()
            return said.text
    finally:
        views.close()


@pytest.mark.parametrize("saved", JUDGED)
def test_what_is_whole_says_what_was_saved(saved: str, clean: Path, tmp_path: Path) -> None:
    folder = JUDGED[saved](clean, tmp_path / "saved")
    assert answer(folder, tmp_path) == "".join(REFUSAL)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # as torch.compile is loaded
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")  # as it has to be
@pytest.mark.parametrize("saved", REFUSED)
def test_what_is_not_is_refused_in_one_sentence(saved: str, clean: Path, tmp_path: Path) -> None:
    save, sentence = REFUSED[saved]
    folder = save(clean, tmp_path / "saved")
    with pytest.raises(CheckpointRefused) as refused:
        answer(folder, tmp_path)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
