"""Sessions that may outlive their supervisor, on record so that the next worker can end them.

The guard ends its session when the supervisor dies. If the guard was killed as well, the engine's
processes stay, with the device's memory. A session id is not given to anybody else while a process
of the session lives, but it is after that, so a record says when the guard was started and on
which boot, and only processes that work inside our data folder are ended.
"""

import json
import os
from pathlib import Path

from workers.children.guard import end_session, process_stat, session_members

START_FIELD = 19  # starttime, the 22nd of /proc/PID/stat, counted from the third


def record_session(home: Path, session: int) -> None:
    """Write `run/<session>.sid`, whole or not at all."""
    record = {
        "boot": _boot(),
        "leader_start": _start_of(session),
        "supervisor": os.getpid(),
        "supervisor_start": _start_of(os.getpid()),
    }
    partial = _file(home, session).with_suffix(".partial")
    partial.write_text(json.dumps(record), encoding="utf-8")
    partial.replace(_file(home, session))


def forget_session(home: Path, session: int) -> None:
    """Take the record away once the session is empty."""
    _file(home, session).unlink(missing_ok=True)


def reap_leftovers(home: Path) -> list[int]:
    """End every recorded session whose supervisor is gone; returns their ids."""
    reaped = []
    for file in sorted((home / "run").glob("*.sid")):
        session, record = int(file.stem), json.loads(file.read_text(encoding="utf-8"))
        if record["boot"] == _boot():
            if _start_of(record["supervisor"]) == record["supervisor_start"]:
                continue  # another worker on the same folder, and alive
            if _is_ours(home, session, record["leader_start"]):
                end_session(session, grace=0.0)
                reaped.append(session)
        forget_session(home, session)
    return reaped


def _is_ours(home: Path, session: int, leader_start: str | None) -> bool:
    leader = _start_of(session)
    members = session_members(session)
    return (
        leader in {leader_start, None}
        and bool(members)
        and all(_works_inside(home, pid) for pid in members)
    )


def _works_inside(home: Path, pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(home.resolve())
    except (FileNotFoundError, PermissionError):
        return False


def _start_of(pid: int) -> str | None:
    """When a process was started, in clock ticks since boot; None where there is none."""
    stat = process_stat(pid)
    return stat[START_FIELD] if stat else None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _file(home: Path, session: int) -> Path:
    return home / "run" / f"{session}.sid"
