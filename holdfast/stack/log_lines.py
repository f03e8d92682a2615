"""Log lines of every process that we start: one form, on stderr, and nothing in them acts.

Names of files and tensors, texts of templates and what models said reach logs by errors; the
embedded stack's and a CI job's are read in a terminal.
"""

import logging
import sys
from types import TracebackType

from holdfast.report.escapes import for_terminal, lines_for_terminal

FORM = "%(asctime)s %(levelname)s %(name)s %(message)s"
ONLY_WARNINGS = ("alembic", "httpx")
UVICORN_LOGGERS = ("uvicorn", "uvicorn.access")

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class InertLines(logging.Formatter):
    """The usual form of a record: its message on one line, its traceback on lines of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The line of a record."""
        record.message = for_terminal(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802  logging's name
        """The lines of a traceback."""
        return lines_for_terminal(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  logging's name
        """The lines of a stack."""
        return lines_for_terminal(super().formatStack(stack_info))


def log_to_stderr(*handed_over: str, force: bool = False) -> None:
    """Log one line an event to stderr, of some libraries only warnings.

    `handed_over` are loggers that came with handlers of their own: their records go this way too.
    `force` takes the place of a set-up that is there already.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(InertLines(FORM))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=force)
    for name in ONLY_WARNINGS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in handed_over:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
