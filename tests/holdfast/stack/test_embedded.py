"""`holdfast up` as a process, started where a user has packages that are named like ours."""

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from holdfast.api.client import Client
from holdfast.cli.stack import with_roots
from holdfast.errors import CheckpointRefused
from holdfast.settings import read_settings
from holdfast.stack import stack_file
from holdfast.stack.embedded import SUBCOMMAND, local_url
from tests.holdfast.stack.test_log_lines import LINE
from tests.support.command import document, foreign_packages, holdfast
from tests.support.evaluations import harm
from tests.support.folders import write_checkpoint
from tests.support.servers import scratch_folder
from tests.support.stack import (
    PATIENCE,
    Launched,
    command_line,
    embedded_stack,
    living,
    scripted_checkpoint,
    tree_of,
    working_folder,
)

pytestmark = pytest.mark.timeout(900)


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=20, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def theirs() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield foreign_packages(folder / "repository")


@pytest.fixture(scope="module")
def launched(theirs: Path) -> Iterator[Launched]:
    more = ("--root", str(theirs.parent / "more"))
    with scratch_folder() as home, embedded_stack(home, *more, cwd=theirs) as running:
        yield running


def test_it_answers_and_the_key_is_private(launched: Launched) -> None:
    assert answers(launched.url)
    key = launched.home / "admin.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((launched.home / "redis").stat().st_mode) == 0o700
    url = f"{launched.url}/v1/keys"
    assert httpx.get(url, timeout=PATIENCE, trust_env=False).status_code == 401
    headers = {"Authorization": f"Bearer {key.read_text().strip()}"}
    listed = httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False)
    assert [one["name"] for one in listed.json()["data"]] == ["embedded"]


def test_it_reads_the_folder_where_it_is_started_and_those_it_is_given(
    launched: Launched, theirs: Path
) -> None:
    places = {name: theirs.parent / name / "it" for name in ("repository", "more", "other")}
    for value, folder in enumerate(places.values()):  # of the same content one would be the other
        write_checkpoint(folder, value=value)
    key = stack_file.key_file(launched.home).read_text().strip()
    with Client(launched.url, key) as client:
        for name in ("repository", "more"):
            assert client.register_checkpoint(str(places[name])).path == str(places[name])
        with pytest.raises(CheckpointRefused, match=r"outside the allowed roots .*--root DIR"):
            client.register_checkpoint(str(places["other"]))
        with pytest.raises(CheckpointRefused, match="absent does not exist"):
            client.register_checkpoint(str(places["other"].with_name("absent")))


def test_the_words_of_the_readme_work_in_the_folder_where_it_is_started(
    launched: Launched, theirs: Path
) -> None:
    scripted_checkpoint(theirs / "candidate", 1.0, refuse_share=0.2)
    scripted_checkpoint(theirs / "aligned", refuse_share=1.0)
    (theirs / "policy.yaml").write_text(harm())
    against = ("--baseline", "./aligned", "--policy", "policy.yaml", "--tier", "demo")
    at_home = partial(holdfast, cwd=theirs, home=launched.home, timeout=PATIENCE)
    submitted = at_home("submit", "./candidate", *against)
    assert submitted.returncode == 1, submitted.stderr
    assert "harm.direct" in submitted.stdout
    assert at_home("baseline", "set", "production", "./aligned").returncode == 0
    by_alias = ("--baseline", "alias:production", *against[2:])
    assert at_home("submit", "./aligned", *by_alias).returncode == 0


def test_a_root_that_is_not_there_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings({"HOLDFAST_HOME": "/data", "HOLDFAST_CHECKPOINT_ROOTS": "/absent"})
    found = with_roots(settings, (tmp_path,)).checkpoint_roots
    assert found == (Path("/absent"), tmp_path)
    assert "/absent, but there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("10.0.0.5", "http://10.0.0.5:1"),
    ],
)
def test_it_is_announced_as_this_machine_reaches_it(host: str, url: str) -> None:
    assert local_url(host, 1) == url


def test_a_folder_that_others_reach_into_is_refused_before_anything_starts(theirs: Path) -> None:
    with scratch_folder() as home:
        home.chmod(0o770)
        done = holdfast("up", "--json", cwd=theirs, home=home, timeout=PATIENCE)
        assert done.returncode == 2
        assert f"chmod -R go= {home}" in document(done)["error"]["message"]
        assert list(home.iterdir()) == []


def test_its_children_see_nothing_of_the_users_folder(launched: Launched) -> None:
    children = launched.children()
    assert set(children) == {"redis", *SUBCOMMAND}
    for name in SUBCOMMAND:
        assert working_folder(children[name]).is_relative_to(launched.home)
        assert os.getsid(children[name]) == children[name]
    for name in ("api", "sweeper"):  # Celery writes its title over its environment
        environment = Path(f"/proc/{children[name]}/environ").read_bytes().split(b"\0")
        assert b"PYTHONSAFEPATH=1" in environment
    assert command_line(children["api"])[1:] == ["-m", "service"]
    assert "-A workers.main" in " ".join(command_line(children["worker"]))


def test_the_api_logs_in_our_form_from_its_first_line_on(launched: Launched) -> None:
    assert answers(launched.url)
    lines = (launched.home / "log" / "api.log").read_text().splitlines()
    assert any(" uvicorn.access " in line for line in lines)
    strange = [line for line in lines if not LINE.match(line)]
    assert all(line.startswith("WARNING: checkpoints may lie in") for line in strange), strange


def test_a_second_one_in_the_same_folder_is_refused(launched: Launched, theirs: Path) -> None:
    done = holdfast("up", "--json", cwd=theirs, home=launched.home, timeout=PATIENCE)
    assert done.returncode == 2
    assert launched.url in document(done)["error"]["message"]
    assert answers(launched.url)


def test_commands_find_it_by_the_folder(launched: Launched, theirs: Path) -> None:
    done = holdfast("keys", "list", "--json", cwd=theirs, home=launched.home, timeout=PATIENCE)
    assert [key["name"] for key in document(done)["data"]] == ["embedded"]


@pytest.mark.parametrize("name", ["api", "redis", "sweeper"])
def test_a_child_that_is_killed_comes_back(launched: Launched, name: str) -> None:
    before = launched.children()[name]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: launched.children()[name] != before)
    wait_for(lambda: answers(launched.url))


def test_sigterm_leaves_nothing_behind(launched: Launched, theirs: Path) -> None:
    tree = tree_of(list(launched.children().values()))
    assert len(tree) >= 4
    assert launched.stop() == 0
    assert living(tree) == {}
    assert stack_file.read(launched.home) is None
    assert not (launched.home / "redis" / "r.sock").exists()
    assert list((launched.home / "run").iterdir()) == [], "no record of an engine"
    assert list((launched.home / "views").iterdir()) == [], "no view of a checkpoint"


def test_what_a_killed_launcher_left_is_ended_by_the_next(theirs: Path) -> None:
    with scratch_folder() as home:
        with embedded_stack(home, cwd=theirs) as first:
            key = (home / "admin.key").read_text()
            tree = tree_of(list(first.children().values()))
            first.process.kill()
            first.process.wait()
        assert living(tree)
        with embedded_stack(home, cwd=theirs) as second:
            assert living(tree) == {}
            assert answers(second.url)
            assert (home / "admin.key").read_text() == key


def test_a_redis_that_cannot_be_used_stops_it_with_one_sentence(theirs: Path) -> None:
    with scratch_folder() as home:
        done = holdfast(
            *("up", "--json"), cwd=theirs, home=home, redis_server="/bin/false", timeout=PATIENCE
        )
        assert done.returncode == 2
        assert "/bin/false" in document(done)["error"]["message"]
        assert stack_file.read(home) is None


def test_another_broker_is_refused(theirs: Path) -> None:
    with scratch_folder() as home:
        done = holdfast("up", cwd=theirs, home=home, broker_url="redis://h", timeout=PATIENCE)
        assert (done.returncode, "HOLDFAST_BROKER_URL" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["serve", "worker", "sweep --once"])
def test_no_part_starts_on_a_database_of_another_revision(command: str, theirs: Path) -> None:
    with scratch_folder() as home:
        done = holdfast(*command.split(), "--json", cwd=theirs, home=home, timeout=PATIENCE)
        assert done.returncode == 4
        assert "run `holdfast migrate`" in document(done)["error"]["message"]
