"""The modules of routes, each by itself."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["events", "keys"])  # whose paths hold ids, and come first
def test_a_module_of_routes_needs_no_other_import_before_it(module: str) -> None:
    command = [sys.executable, "-P", "-c", f"import service.routes.{module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
