"""Which server is talked to, with which key, and how what a command line names is told it."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, get_args

import pytest

from holdfast.errors import CheckpointRefused, HoldfastError, InvalidSettings, Unreachable
from holdfast.ids import Prefix, new_id
from holdfast.stack import stack_file
from holdfast.stack.connect import baseline_reference, connect, location, path_location
from tests.support.command import document, holdfast


def test_what_lies_here_is_told_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt_500").mkdir()  # a trainer's folder, and no id
    assert location("ckpt_500") == location("./ckpt_500") == str(tmp_path / "ckpt_500")


def test_what_the_server_may_have_is_left_to_it() -> None:
    for text in (new_id("ckpt"), "file:///models/a", "hf://owner/name@1", "/models/a"):
        assert location(text) == text


@pytest.mark.parametrize("text", [f"ckpt_{'0' * 32}", "hf://owner/name@1", "file://models"])
def test_an_id_or_a_uri_is_never_a_folder_of_that_name(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(text).mkdir(parents=True)
    assert location(text) == baseline_reference(text) == text
    assert location(f"./{text}") == str(tmp_path / text)


@pytest.mark.parametrize(
    "text",
    [*(f"{kind}_{'0' * 32}" for kind in get_args(Prefix) if kind != "ckpt"), "alias:production"],
)
def test_an_id_of_something_else_is_no_checkpoint_whatever_folder_has_its_name(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(text).mkdir()
    with pytest.raises(
        CheckpointRefused, match=f"for a folder or file of that name write ./{text}"
    ):
        location(text)
    assert location(f"./{text}") == str(tmp_path / text)


def test_a_file_or_an_adapter_has_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = new_id("ckpt")
    Path(named).touch()
    with pytest.raises(CheckpointRefused, match="expected a path"):
        path_location(named)
    assert path_location(f"./{named}") == str(tmp_path / named)


def test_a_relative_path_that_leads_nowhere_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("ckpt_500", "./candidate", "candidat/é"):
        with pytest.raises(CheckpointRefused, match=f"{text} does not exist in {tmp_path}"):
            location(text)


class Recorder(BaseHTTPRequestHandler):
    """A server that keeps what it was sent; it lives in this process, which is no stack."""

    keys: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.keys.append(self.headers["Authorization"])
        body = b'{"data": [], "next_cursor": null, "has_more": false}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(Recorder, "keys", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def data_folder(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder as a stack leaves it, found by the working folder; its API is this process."""
    folder = tmp_path / ".holdfast"
    folder.mkdir(mode=0o700)
    stack_file.write(folder, server, {"api": os.getpid()})
    key = stack_file.key_file(folder)
    key.touch(mode=0o600)
    key.write_text("hf_of_the_stack\n")
    (folder / "run").mkdir()
    monkeypatch.chdir(folder / "run")
    monkeypatch.setenv("HOLDFAST_HOME", str(folder))
    return folder


def test_a_stack_that_is_found_gets_its_own_key_and_none_of_the_environment(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with connect() as client:
        client.keys()
    assert Recorder.keys == ["Bearer hf_of_the_stack"]
    monkeypatch.setenv("HOLDFAST_API_KEY", "hf_of_the_environment")
    with connect() as client:
        client.keys()
    assert Recorder.keys == ["Bearer hf_of_the_stack"] * 2
    assert "HOLDFAST_API_KEY is not used" in caplog.text
    assert "hf_of" not in caplog.text


def test_the_environments_key_goes_to_the_environments_server(
    data_folder: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SERVER", server)
    with connect() as client:
        client.keys()
    monkeypatch.setenv("HOLDFAST_API_KEY", "hf_of_the_environment")
    with connect() as client:
        client.keys()
    assert Recorder.keys == [None, "Bearer hf_of_the_environment"]


def checked_out(folder: Path) -> None:
    """As a repository holds them: anybody may read them, and no process is behind them."""
    for file in folder.glob("*.*"):
        file.chmod(0o644)


def of_another_process(folder: Path) -> None:
    file = folder / "stack.json"
    file.write_text(file.read_text().replace(f"[{os.getpid()}", f"[{os.getppid()}"))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (checked_out, InvalidSettings),
        (of_another_process, Unreachable),
        (lambda folder: os.chdir(folder.parent), Unreachable),
        (lambda folder: stack_file.key_file(folder).unlink(), InvalidSettings),
        (lambda folder: (folder / "stack.json").chmod(0o666), InvalidSettings),
    ],
)
def test_what_a_repository_can_hold_gets_no_request_at_all(
    data_folder: Path,
    spoil: Callable[[Path], object],
    kind: type[HoldfastError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOLDFAST_API_KEY", "hf_of_the_environment")
    spoil(data_folder)
    with pytest.raises(kind, match="HOLDFAST_SERVER"):
        connect()
    assert Recorder.keys == []


def test_a_command_in_such_a_repository_ends_with_one_sentence_and_never_with_0(
    data_folder: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = data_folder.parent
    checked_out(data_folder)
    monkeypatch.chdir(repository)  # where this process works is no stack's folder
    done = holdfast(
        *("wait", new_id("eval"), "--json"), cwd=repository, api_key="hf_of_the_environment"
    )
    assert done.returncode == 4
    assert server in document(done)["error"]["message"]
    assert len(done.stderr.splitlines()) == 1
    assert Recorder.keys == []
