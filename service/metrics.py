"""Prometheus metrics: HTTP counters of this process, and job gauges read from the database.

Jobs run elsewhere and for hours, so their numbers come from the rows at the time of the scrape:
no exporter on workers, no multi-process mode, and every API process says the same.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from holdfast.db.jobs import now
from holdfast.db.session import reading
from holdfast.db.tables import EvaluationRow, JobRow
from holdfast.job import Status

HTTP_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}


class Metrics:
    """The registry of one application."""

    def __init__(self, version: str, database: Engine, broker_up: Callable[[], bool]) -> None:
        """`broker_up` is asked at every scrape."""
        self.registry = CollectorRegistry()
        names = ["route", "method", "code"]
        self._requests = Counter(
            "holdfast_http_requests", "Requests by route.", names, registry=self.registry
        )
        self._seconds = Histogram(
            "holdfast_http_request_duration_seconds",
            "Time to the end of the reply.",
            names,
            buckets=HTTP_SECONDS,
            registry=self.registry,
        )
        self._unlimited = Counter(
            "holdfast_rate_limit_unavailable",
            "How often requests went uncounted, since the counter did not answer.",
            registry=self.registry,
        )
        build = Gauge("holdfast_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(version).set(1)
        self.registry.register(_Rows(database, broker_up))

    def count(self, method: str, route: str, code: int, seconds: float) -> None:
        """One finished request; a method that nobody has is not a label of its own."""
        labels = (route, method if method in METHODS else "OTHER", str(code))
        self._requests.labels(*labels).inc()
        self._seconds.labels(*labels).observe(seconds)

    def count_unlimited(self) -> None:
        """The counter of requests did not answer."""
        self._unlimited.inc()

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)


class _Rows(Collector):
    def __init__(self, database: Engine, broker_up: Callable[[], bool]) -> None:
        self._database, self._broker_up = database, broker_up

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: registering must not query."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        broker = float(self._broker_up())
        yield GaugeMetricFamily("holdfast_broker_up", "Whether the broker answers.", broker)
        try:
            families = self._from_rows()
        except DBAPIError:
            yield GaugeMetricFamily("holdfast_db_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("holdfast_db_up", "Whether the database answers.", 1)
        yield from families

    def _from_rows(self) -> list[GaugeMetricFamily]:
        jobs = GaugeMetricFamily(
            "holdfast_jobs_in_state", "Jobs by state and queue.", labels=["state", "queue"]
        )
        verdicts = GaugeMetricFamily(
            "holdfast_verdicts", "Verdicts reached so far.", labels=["verdict"]
        )
        by_state = select(JobRow.status, JobRow.queue, func.count()).group_by(
            JobRow.status, JobRow.queue
        )
        by_verdict = select(EvaluationRow.verdict, func.count()).group_by(EvaluationRow.verdict)
        oldest = select(func.min(JobRow.created_at)).where(JobRow.status == Status.QUEUED.value)
        with reading(self._database) as session:
            for state, queue, count in session.execute(by_state):
                jobs.add_metric([state, queue], count)
            for verdict, count in session.execute(by_verdict):
                if verdict is not None:
                    verdicts.add_metric([verdict], count)
            since = session.scalars(oldest).one_or_none()
            waited = (now(session) - since).total_seconds() if since is not None else 0.0
        wait = GaugeMetricFamily(
            "holdfast_job_queue_wait_seconds", "Age of the oldest waiting job.", waited
        )
        return [jobs, verdicts, wait]
