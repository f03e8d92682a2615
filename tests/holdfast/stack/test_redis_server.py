from pathlib import Path

import pytest

from holdfast.errors import HarnessError, InvalidSettings
from holdfast.settings import Settings
from holdfast.stack.redis_server import answers, find_server, prepare
from tests.support.servers import redis_server


def server(folder: Path, says: str) -> Path:
    """A program that answers --version."""
    program = folder / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("Redis server v=6.2.14 sha=0:0 malloc=libc", None),
        ("Valkey server v=9.1.2 sha=0:0", None),
        ("Redis server v=10.0.0", None),
        ("Redis server v=6.0.16 sha=0:0", "version 6.0, expected 6.2"),
        ("Redis server v=5.0.7", "version 5.0, expected 6.2"),
        ("hello", "no Redis version"),
    ],
)
def test_the_configured_server_must_be_recent(
    tmp_path: Path, says: str, problem: str | None
) -> None:
    program = server(tmp_path, says)
    if problem is None:
        assert find_server(program) == program
    else:
        with pytest.raises(InvalidSettings, match=problem):
            find_server(program)


def test_a_configured_server_that_is_not_there_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="did not run"):
        find_server(tmp_path / "redis-server")


def test_a_server_is_found_without_settings() -> None:
    assert find_server(None).is_file()


def test_a_socket_that_answers_is_another_stacks(home: Path) -> None:
    settings = Settings(home=home, database_url="sqlite://", broker_url="redis://")
    assert not answers(settings.redis_socket)
    settings.redis_socket.parent.mkdir(parents=True)
    with redis_server(settings.redis_socket.parent):
        assert answers(settings.redis_socket)
        with pytest.raises(HarnessError, match="another Redis answers"):
            prepare(settings)
    assert "--appendonly" in prepare(settings)
