"""How often a key, its project and an address may ask, counted in Redis over the last minute.

The same for every API process, since they share the broker. Without it nothing is limited, which a
metric says: a gate that answers nobody because its counter is away would be the worse failure.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.db.keys import Caller
from holdfast.errors import RateLimited
from holdfast.settings import Settings
from service.metrics import Metrics

log = logging.getLogger(__name__)

READS = frozenset({"GET", "HEAD", "OPTIONS"})
PROJECT_SHARE = 5  # as often as one of its keys
PAUSE_SECONDS = 10.0  # for which a counter that did not answer is left alone
TIMEOUT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Bucket:
    """A thing that is counted: its name in headers, whose it is, and its limit a minute."""

    name: str
    subject: str
    per_minute: int


class Rates:
    """The counters of one application."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Nothing is opened before the first request."""
        self._settings, self._metrics = settings, metrics
        storage = RedisStorage(
            "redis://", connection_pool=_connections(settings.broker_url), wrap_exceptions=True
        )
        self._window = MovingWindowRateLimiter(storage)
        self._away_until = 0.0

    def count_request(self, request: Request, caller: Caller) -> None:
        """Count a request of a key; RateLimited beyond what it or its project may."""
        reads = request.method in READS
        name = "reads" if reads else "writes"
        limit = self._settings.reads_per_minute if reads else self._settings.writes_per_minute
        buckets = (
            Bucket(name, f"key:{caller.key_id}", limit),
            Bucket(name, f"project:{caller.project}", PROJECT_SHARE * limit),
        )
        request.state.rate = self._count(buckets)

    def count_failed_key(self, address: str) -> None:
        """Count a key that was no good; RateLimited for an address that guesses."""
        limit = self._settings.failed_keys_per_minute
        self._count((Bucket("failed-keys", f"address:{address}", limit),))

    def _count(self, buckets: tuple[Bucket, ...]) -> dict[str, str]:
        """The headers that say what is left; RateLimited where nothing is."""
        if time.monotonic() < self._away_until:
            return {}
        try:
            return dict(self._headers(buckets))
        except StorageError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            self._metrics.count_unlimited()
            log.warning("requests are not counted for %.0f s: %s", PAUSE_SECONDS, error)
            return {}

    def _headers(self, buckets: tuple[Bucket, ...]) -> Iterator[tuple[str, str]]:
        for bucket in buckets:
            item = RateLimitItemPerMinute(bucket.per_minute)
            if not self._window.hit(item, bucket.name, bucket.subject):
                reset = self._window.get_window_stats(item, bucket.name, bucket.subject).reset_time
                raise limited(bucket, max(1, round(reset - time.time())))
        first = buckets[0]
        item = RateLimitItemPerMinute(first.per_minute)
        stats = self._window.get_window_stats(item, first.name, first.subject)
        seconds = max(0, round(stats.reset_time - time.time()))
        yield "RateLimit-Policy", f'"{first.name}";q={first.per_minute};w=60'
        yield "RateLimit", f'"{first.name}";r={stats.remaining};t={seconds}'


def _connections(broker_url: str) -> ConnectionPool:
    """Connections to the broker that give up soon; Celery's word for a socket is not redis's."""
    url = broker_url.partition("?")[0].replace("redis+socket://", "unix://")
    pool: ConnectionPool = ConnectionPool.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return pool


def limited(bucket: Bucket, seconds: int) -> RateLimited:
    """The refusal of one more, with when to come back."""
    kind, _, _name = bucket.subject.partition(":")
    error = RateLimited(
        f"this {kind} has had its {bucket.per_minute} {bucket.name} of the last minute; come back "
        f"in {seconds} s"
    )
    error.retry_after = seconds
    return error
