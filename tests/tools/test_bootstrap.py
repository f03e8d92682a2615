"""The set-up installs what a lock names by its hash, and nothing else."""

import hashlib
import io
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.tools import tool

METADATA = "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
bootstrap = tool("bootstrap")


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(zipfile.ZipInfo(name), content)  # no date: the same bytes each time
    return buffer.getvalue()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package of one module, in a folder of its own."""
    files = {"parcel.py": "", "parcel-1.0.dist-info/METADATA": METADATA}
    files |= {"parcel-1.0.dist-info/WHEEL": WHEEL, "parcel-1.0.dist-info/RECORD": ""}
    path = tmp_path / "wheels" / "parcel-1.0-py3-none-any.whl"
    path.parent.mkdir()
    path.write_bytes(archive(files))
    return path


def install(wheel: Path, line: str) -> bool:
    """Whether the package can be imported, once the set-up has followed a lock of one line."""
    folder = wheel.parent.parent
    lock = folder / "lock.txt"
    lock.write_text(line + "\n")
    venv = folder / "venv"
    bootstrap.sync(venv, (lock,), ("--no-index", "--find-links", str(wheel.parent)))
    done = subprocess.run([venv / "bin" / "python", "-c", "import parcel"], check=False)
    return done.returncode == 0


def test_a_file_is_installed_whose_hash_the_lock_names(wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert install(wheel, f"parcel==1.0 --hash=sha256:{digest}")


@pytest.mark.parametrize("line", ["parcel==1.0", f"parcel==1.0 --hash=sha256:{'0' * 64}"])
def test_a_file_is_refused_whose_hash_the_lock_does_not_name(
    wheel: Path, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"set-up stopped: .*uv pip exited"):
        install(wheel, line)
    assert "hash" in capfd.readouterr().err.lower()
    assert not (wheel.parent.parent / "venv" / bootstrap.STAMP).exists()


def test_a_lock_without_uv_is_refused() -> None:
    with pytest.raises(SystemExit, match="make lock"):
        bootstrap.locked_uv("uv>=0.13\n")
    version, hashes = bootstrap.locked_uv((bootstrap.LOCKS / "uv.txt").read_text())
    assert version[0].isdigit()
    assert len(hashes) > 10


# --- without pip: uv's wheel from an index, checked by the lock -----------------------------------


@contextmanager
def index(folder: Path, listed: str) -> Iterator[str]:
    """A package index of one wheel of uv for this machine, listed with a hash."""
    system = "macosx" if bootstrap.sys.platform == "darwin" else "manylinux"
    name = f"uv-1.0-py3-none-{system}_2_17_{bootstrap.platform.machine()}.whl"
    (folder / name).write_bytes(archive({"uv-1.0.data/scripts/uv": "#!/bin/sh\necho it is uv\n"}))
    files = [{"filename": name, "url": name, "hashes": {"sha256": listed}}]
    (folder / "index.html").write_text(json.dumps({"files": files}))
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def wheel_of_uv(folder: Path) -> str:
    with index(folder, ""):
        return hashlib.sha256(next(folder.glob("*.whl")).read_bytes()).hexdigest()


def test_uv_comes_without_pip_where_the_lock_knows_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = wheel_of_uv(tmp_path)
    with index(tmp_path, digest) as url:
        monkeypatch.setattr(bootstrap, "UV_FILES", url)
        bootstrap.download_uv(tmp_path / "tools" / "uv", {digest})
    assert subprocess.check_output([tmp_path / "tools" / "uv"]) == b"it is uv\n"


@pytest.mark.parametrize(
    ("listed", "hashes", "reason"),
    [("1" * 64, {"2" * 64}, "no wheel of uv"), ("1" * 64, {"1" * 64}, "does not name")],
    ids=["the index lists another", "the index lists the right one and sends another"],
)
def test_a_uv_that_the_lock_does_not_know_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, hashes: set[str], reason: str
) -> None:
    with index(tmp_path, listed) as url:
        monkeypatch.setattr(bootstrap, "UV_FILES", url)
        with pytest.raises(SystemExit, match=reason):
            bootstrap.download_uv(tmp_path / "tools" / "uv", hashes)
    assert not (tmp_path / "tools").exists()
