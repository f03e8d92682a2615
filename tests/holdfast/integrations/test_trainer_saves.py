"""What is said after an alarm: the Trainer's own last save that no alarm is about."""

from pathlib import Path

import pytest

from holdfast.integrations.trainer_saves import how_to_resume


@pytest.mark.parametrize(
    ("last", "save"), [(64, "checkpoint-50"), (100, "checkpoint-100"), (49, None), (0, None)]
)
def test_the_last_save_up_to_a_step_is_what_to_resume_from(
    tmp_path: Path, last: int, save: str | None
) -> None:
    for name in ("checkpoint-50", "checkpoint-100", "checkpoint-final", "runs"):
        (tmp_path / name).mkdir()
    expected = (
        f"no save of a step up to {last}"
        if save is None
        else f"trainer.train(resume_from_checkpoint={str(tmp_path / save)!r})"
    )
    assert expected in how_to_resume(tmp_path, last)
