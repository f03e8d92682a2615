"""A checkpoint folder is whole or absent."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.checkpoints.chat_template import chat_template
from holdfast.errors import DiskFull, InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.template_layouts import MORE, A, R, save_tokenizer, write_layout
from training.progress import Report
from training.recipes import RECIPES
from training.weights.output import atomic_folder, copy_companions


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with atomic_folder(output) as folder:
        (folder / "config.json").write_text("{}")
        assert not output.exists()
        assert folder.parent == tmp_path
    assert [file.name for file in output.iterdir()] == ["config.json"]
    assert list(tmp_path.iterdir()) == [output]


def test_the_template_goes_with_the_model_wherever_it_lies(tmp_path: Path) -> None:
    start = save_tokenizer(tmp_path / "start")
    write_layout(start, {f"{MORE}default.jinja": A, f"{MORE}rag.jinja": R, f"{MORE}x.py": ""})
    with atomic_folder(tmp_path / "output") as folder:
        copy_companions(start, folder)
    assert chat_template(tmp_path / "output") == chat_template(start) == A
    copied = {file.name for file in (tmp_path / "output" / MORE).iterdir()}
    assert copied == {"default.jinja", "rag.jinja"}


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_fault_leaves_nothing(tmp_path: Path, fault: type[BaseException]) -> None:
    def write_half() -> None:
        with atomic_folder(tmp_path / "output") as folder:
            (folder / "config.json").write_text("{}")
            raise fault

    with pytest.raises(fault):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["empty folder", "file", "dangling link"])
def test_an_existing_output_is_never_replaced(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "output"
    match kind:
        case "empty folder":
            output.mkdir()
        case "file":
            output.write_text("mine")
        case _:
            output.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidPlan, match="exists"), atomic_folder(output):
        pytest.fail("was let in")
    assert list(tmp_path.iterdir()) == [output]


def test_an_output_made_in_the_meantime_is_never_replaced(tmp_path: Path) -> None:
    output = tmp_path / "output"

    def race() -> None:
        with atomic_folder(output):
            output.mkdir()

    with pytest.raises(InvalidPlan, match="exists"):
        race()
    assert list(tmp_path.iterdir()) == [output]


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    output = tmp_path / "no" / "output"
    with pytest.raises(InvalidPlan, match="parent folder does not exist"), atomic_folder(output):
        pytest.fail("was let in")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 100 kB; the system refuses the write as a full disk's would be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("recipe", ["wise_ft", "graft", "finetune"])
@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, plan_of: Callable[..., Plan], report: Report, recipe: str
) -> None:
    plan = plan_of(recipe, steps=1)
    with pytest.raises(DiskFull, match=r"could not be written \(File too large\)") as failed:
        RECIPES[plan.recipe](plan, report)
    assert "\n" not in str(failed.value)
    assert list(tmp_path.iterdir()) == []
