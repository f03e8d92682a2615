"""`holdfast check` from end to end on folders with a known truth (`make check-families`).

Every pair of pairs.py is gated as a user would do it, in a process, with a stack of its own.
Resumable: what came out right is kept in .holdfast/bench/pairs.json under the engine's version.
Exit 1 where the gate answered anything else than what is true.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.families.on_vllm import HOME
from benchmarks.families.pairs import PAIRS, Pair
from holdfast.settings import make_folder
from tests.support.command import holdfast
from workers.inference.backends import backend_of

STATE = HOME / "bench" / "pairs.json"
LIMIT = 600  # seconds of one check


def main() -> int:
    """Check what has not come out right yet; the number of wrong answers is printed."""
    state: dict[str, str] = json.loads(STATE.read_text()) if STATE.is_file() else {}
    make_folder(STATE.parent)
    wrong = 0
    for engine in ("transformers", "vllm"):
        version = backend_of(engine, "float32").version
        for name, pair in PAIRS.items():
            key = f"{engine} {version}: {name}"
            if key in state:
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = answer(engine, pair, Path(folder))
            print(f"{key}: {found or 'as it should be'}", flush=True)
            if found is None:
                state[key] = "right"
                STATE.write_text(json.dumps(state, indent=1))
            wrong += found is not None
    print(f"{len(state)} right, {wrong} wrong")
    return 1 if wrong else 0


def answer(engine: str, pair: Pair, folder: Path) -> str | None:
    """What is wrong with the gate's answer, with all that it said; None if nothing is."""
    candidate, baseline = pair.build(folder)
    policy = folder / "policy.yaml"
    policy.write_text(pair.policy)

    def check() -> tuple[int, str]:
        words = ("check", candidate, "--baseline", baseline, "--policy", policy, "--tier", "demo")
        kept = ("--home", folder / "home")
        done = holdfast(*words, *kept, cwd=folder, timeout=LIMIT, engine=engine)
        return done.returncode, done.stdout + done.stderr

    exit_code, said = check()
    if exit_code != pair.exit_code or pair.says not in said:
        return f"exit {exit_code}, expected {pair.exit_code} and {pair.says!r}; it said:\n{said}"
    if pair.then is not None:
        pair.then(folder)
        exit_code, said = check()
        if exit_code != pair.then_exit_code:
            return f"then exit {exit_code}, expected {pair.then_exit_code}; it said:\n{said}"
    return None


if __name__ == "__main__":
    sys.exit(main())
