"""A data folder inside the folder that our programs are imported from, as `make demo` has it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.probes.engine import Sampling
from holdfast.settings import Settings
from tests.support.stack import scripted_checkpoint
from workers.children.supervisor import RunnerEngine

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder in the repository itself."""
    folder = Path(tempfile.mkdtemp(prefix=".home-", dir=ROOT))
    yield folder
    shutil.rmtree(folder)


def test_a_walled_runner_imports_what_lies_beside_its_data_folder(home: Path) -> None:
    settings = Settings(
        home=home,
        database_url=f"sqlite:///{home}/holdfast.db",
        broker_url="redis://nobody",
        checkpoint_roots=(ROOT,),
        engine="scripted",
    )
    engine = RunnerEngine(settings)
    try:
        engine.open(scripted_checkpoint(home / "checkpoints" / "m", behaviour="comply-all"), None)
        ((_, completion),) = engine.generate(["Hello"], Sampling(max_tokens=8))
    finally:
        engine.close()
    assert completion.text
