"""The child that holds one task: `python -m workers.harness TASK [FOLDER]`.

    {"do": "plan", "items": 240 | null}          → {"digest", "items": [{"item", "asks"}, …]}
    {"do": "score", "item": …, "replies": […]}   → {"digest", "badness": 0.0 | null, "reason"}

An error that is ours to name is an answer, {"error", "detail"}, and the end. Whatever else goes
wrong is the task's or the harness's, and ends the process with its traceback in the log.
"""

import os
import sys
from pathlib import Path
from typing import Any

from holdfast.errors import TaskRefused
from holdfast.failures import print_trace
from workers.children.wire import receive, send
from workers.harness.tasks import Item, asks_of, choose, digest_of, load_items, score


def main(name: str, folder: Path | None) -> None:
    """Serve until the end of the requests; libraries that print do so into the log."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        items = load_items(name, folder)
        digest = digest_of(items)
        while (request := receive(sys.stdin)) is not None:
            if request["do"] == "score":  # what a metric complains of now is what a model said
                sys.excepthook = print_trace
            send(answers, answer(items, digest, request))
    except TaskRefused as error:
        send(answers, {"error": type(error).__name__, "detail": str(error)})


def answer(items: dict[str, Item], digest: str, request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request."""
    if request["do"] == "plan":
        chosen = choose(items, request["items"])
        planned = [{"item": item.id, "asks": asks_of(item)} for item in chosen]
        return {"digest": digest, "items": planned}
    badness, reason = score(items[request["item"]], request["replies"])
    return {"digest": digest, "badness": badness, "reason": reason}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
