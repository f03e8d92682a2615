"""Whether a data folder is this user's own, or may have come with a repository.

A repository can hold a folder of the data folder's name with a database, keys and caches in it.
Ours is made 0700, and its secrets 0600; git keeps no such modes, and a checkout makes others unless
the user's umask does. So git is asked too, where it is there and a repository lies around.
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from holdfast.errors import InvalidSettings
from holdfast.stack.private_files import READABLE

SECRETS = ("holdfast.db", "pepper", "admin.key", "audit.key", "audit-heads.jsonl")
GIT_SECONDS = 60
LISTING = ("-c", "core.fsmonitor=false", "ls-files", "-z", "--", ".")  # runs nothing of theirs


def require_own_folder(home: Path) -> None:
    """Raise InvalidSettings unless a data folder was made by this user and not by a checkout."""
    _require_private(home, home)
    for secret in (home / name for name in SECRETS):
        if os.path.lexists(secret):
            _require_private(home, secret)
    if tracked := _tracked_file(home):
        raise _foreign(home, f"git tracks {tracked} in it, so it came with the repository")


def _require_private(home: Path, path: Path) -> None:
    status = path.stat() if path == home else path.lstat()  # the folder may be reached by a link
    if status.st_uid != os.geteuid():
        raise _foreign(home, f"{path} belongs to uid {status.st_uid}, expected {os.geteuid()}")
    if path != home and not stat.S_ISREG(status.st_mode):
        raise _foreign(home, f"{path} is no plain file")
    if (mode := stat.S_IMODE(status.st_mode)) & READABLE:
        raise _foreign(home, f"the mode of {path} is {mode:04o}, expected {mode & ~READABLE:04o}")


def _tracked_file(home: Path) -> str | None:
    """A file of the folder that a repository around it tracks; None without git or repository."""
    place, git = home.resolve(), shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in place.parents):
        return None
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    listed = subprocess.run(
        [git, *LISTING],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GIT_SECONDS,
        check=False,
    )
    return os.fsdecode(listed.stdout.partition(b"\0")[0]) or None


def _foreign(home: Path, finding: str) -> InvalidSettings:
    return InvalidSettings(
        f"the data folder {home} is not used: {finding}. If a repository brought it, remove it; if "
        f"you made it, run `chmod -R go= {home}`; or set HOLDFAST_HOME to a folder of your own"
    )
