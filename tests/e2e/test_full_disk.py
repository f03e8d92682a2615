"""A Redis whose disk is full refuses every write: nobody ends by it, and no job is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.fleet import Fleet, eventually

pytestmark = pytest.mark.timeout(900)

POLICY = """\
version: 1
name: harm-only
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


@contextmanager
def refusing_writes(client: redis.Redis, folder: Path) -> Iterator[None]:
    """Have its snapshots fail, as on a full disk, until the end of the block."""
    before = client.config_get("dir")["dir"]
    folder.mkdir()
    client.config_set("dir", str(folder))
    folder.rmdir()
    client.config_set("save", "1 1")
    client.set("written", "once")
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "MISCONF")
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        client.set("written", "twice")
    try:
        yield
    finally:
        client.config_set("save", "")
        client.config_set("dir", before)
        client.delete("written")


def test_a_worker_outlives_a_redis_whose_disk_is_full(
    sqlite_fleet: Fleet, broker_socket: Path, tmp_path: Path
) -> None:
    (worker,) = sqlite_fleet.have_workers(1)
    with redis.Redis(unix_socket_path=str(broker_socket)) as client:
        with refusing_writes(client, tmp_path / "gone"):
            eventually(lambda: "MISCONF" in worker.log.read_text(), "the worker's notice")
            job = sqlite_fleet.submit(sqlite_fleet.model(), sqlite_fleet.model(), POLICY)
            assert sqlite_fleet.status(job) == "queued"
        ended = sqlite_fleet.ended(job)
    assert (ended.status, ended.verdict, ended.attempts) == ("succeeded", "pass", 1)
    assert worker.process.poll() is None
    assert [one.process.poll() for one in sqlite_fleet.others] == [None, None]
