"""Every process that we start logs in one form, in which nothing acts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hostile import HOSTILE, acting

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+ ")
API = """\
import uvicorn
from holdfast.stack.log_lines import UVICORN_LOGGERS, log_to_stderr
uvicorn.Config(app=None)  # as `uvicorn service.app:app` sets it up before it calls the factory
log_to_stderr(*UVICORN_LOGGERS)
"""
WORKER = "from workers.main import set_up_logging\nset_up_logging()\n"
SWEEPER = "from holdfast.stack.log_lines import log_to_stderr\nlog_to_stderr()\n"
LOG = """
import ast, logging, sys
for text in ast.literal_eval(sys.argv[1]):
    for name in ("uvicorn.error", "uvicorn", "celery", "holdfast.checkpoints"):
        logging.getLogger(name).error("of a template: %s", text)
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "::1", "GET", text, "1", 1)
"""


@pytest.mark.parametrize("set_up", [API, WORKER, SWEEPER], ids=["api", "worker", "sweeper"])
def test_what_is_logged_stands_on_one_line_and_is_not_acted_on(set_up: str, tmp_path: Path) -> None:
    texts = [*HOSTILE.values()]
    done = subprocess.run(
        [sys.executable, "-c", set_up + LOG, ascii(texts)],
        env={**os.environ, "HOLDFAST_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 5 * len(texts)
    assert [line for line in lines if not LINE.match(line)] == []
    assert acting(done.stderr) == []
    assert done.stdout == ""
