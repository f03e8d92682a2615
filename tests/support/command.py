"""The real `holdfast` command as a process, with only the settings that a test gives it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("holdfast")


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with these HOLDFAST_* settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    kept.pop("PYTHONPATH", None)
    return {**kept, **{f"HOLDFAST_{name.upper()}": str(value) for name, value in settings.items()}}


def holdfast(
    *words: object, cwd: Path, timeout: float = 60.0, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on stdout."""
    return json.loads(done.stdout)


def foreign_packages(folder: Path) -> Path:
    """A user's folder with packages named like ours; importing any of them fails loudly."""
    for name in ("service", "workers", "training", "migrations", "holdfast", "celery", "uvicorn"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('foreign {name} imported')\n")
    for name in ("settings", "sitecustomize", "alembic", "redis"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('foreign {name} imported')\n")
    return folder
