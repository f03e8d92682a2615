"""`make bench-storm`: processes killed at random while jobs with known verdicts run.

API, sweeper and two workers with the settings of production, over SQLite and then PostgreSQL, each
for half of MINUTES (10); Redis is emptied and gone for a minute in the middle of each. Evaluations
of aligned and of eroded checkpoints, and repairs of the eroded, are submitted as fast as they end;
at most MOST_LOSSES times may one job lose what computes it, since three in a row end it by design.
At the end every accepted job has to be there, once, with the verdict that is known beforehand, and
no process of ours is left. Prints how long jobs of lost workers waited for the next one.
"""

import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.db.migrate import upgrade
from holdfast.db.session import reading
from holdfast.db.tables import EventRow, JobRow
from holdfast.job import FINISHED, EventKind, Status
from holdfast.stack.processes import kill_those
from tests.e2e.test_story import llama
from tests.support.fleet import Fleet, eventually, running_fleet
from tests.support.servers import celery_url, postgres, redis_server, scratch_folder

POLICY = """\
version: 1
name: storm
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
SCRIPTS = {"pass": {"refuse_share": 1.0}, "fail": {"refuse_share": 0.3}}
SECONDS_PER_ANSWER = 0.1
WORKERS, AT_ONCE = 2, 4
KILL_EVERY = (1.0, 6.0)
DOWN_SECONDS = (0.0, 3.0)
OUTAGE_SECONDS = 60.0
MOST_LOSSES = 2
PATIENCE = 600.0
WANTED_MEDIAN = 35.0
VICTIMS = ("worker", "pool child", "tree", "api", "sweep")


@dataclass(slots=True)
class Storm:
    """One storm: what was accepted with which verdict to come, and what was killed."""

    fleet: Fleet
    client: Client
    chance: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, str] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    moments: list[tuple[str, float]] = field(default_factory=list)
    baseline: Path = Path()

    def submit(self) -> None:
        """One more evaluation, or the repair of one that failed and has none yet."""
        repaired = set(self.repairs.values())
        failed = [job for job in self.expected if self.expected[job] == "fail"]
        for job in failed:
            if job not in repaired and job_row(self.fleet, job).status == Status.SUCCEEDED:
                options = {"candidate_weight": 0.6}
                wanted = {"evaluation": job, "recipe": "wise_ft", "options": options}
                made = self.client.remediate(wire.NewRemediation.model_validate(wanted))
                self.repairs[made.id] = job
                return
        verdict = self.chance.choice(list(SCRIPTS))
        number = len(self.expected) + 1
        script = {**SCRIPTS[verdict], "seconds_per_answer": SECONDS_PER_ANSWER}
        candidate = llama(self.baseline.parent / f"c{number}", number, **script)
        body = {"candidate": str(candidate), "baseline": str(self.baseline), "policy": POLICY}
        new = wire.NewEvaluation.model_validate({**body, "tier": "demo"})
        self.expected[self.client.submit(new).id] = verdict

    def unfinished(self) -> list[JobRow]:
        """The jobs of the database that have not ended, those of repairs included."""
        with reading(self.fleet.database) as session:
            ended = [status.value for status in FINISHED]
            return list(session.scalars(select(JobRow).where(JobRow.status.not_in(ended))))

    def kill(self) -> None:
        """SIGKILL for one process or tree by chance, unless its job has lost enough already."""
        victim = self.chance.choice(VICTIMS)
        if victim in {"api", "sweep"}:
            one = next(one for one in self.fleet.others if one.name == victim)
            one.kill()
            self.killed[victim] += 1
            return
        running = [job for job in self.unfinished() if job.status == Status.RUNNING]
        spared = {job.lease_owner for job in running if self.losses[job.id] >= MOST_LOSSES}
        jobs = [job for job in running if job.lease_owner not in spared]
        if not jobs:
            return
        job = self.chance.choice(jobs)
        child = int(str(job.lease_owner).rpartition(":")[2])
        held = [one for one in self.fleet.workers if child in one.session]
        if not held:
            return
        self.losses[job.id] += 1
        self.killed[victim] += 1
        if victim == "tree":
            kill_those(self.fleet.engines())
            for other in running:
                self.losses[other.id] += other.id != job.id
            return
        self.moments.append((job.id, time.time()))
        if victim == "worker":
            held[0].kill()
        else:
            kill_those({child: held[0].session[child]})

    def revive(self) -> None:
        """Start what has ended, as whatever supervises a server does."""
        for number, one in enumerate(self.fleet.others):
            if one.process.poll() is not None:
                words = ("api", "serve") if one.name == "api" else ("sweep",)
                self.fleet.others[number] = self.fleet.start(*words)
        for number, one in enumerate(self.fleet.workers):
            if one.process.poll() is not None:
                self.fleet.workers[number] = self.fleet.start("worker")

    def go_on(self, seconds: float) -> None:
        """Submit, kill and revive for so long."""
        until, next_kill = time.monotonic() + seconds, time.monotonic() + KILL_EVERY[1]
        while time.monotonic() < until:
            if len(self.unfinished()) < AT_ONCE:
                self.submit()
            if time.monotonic() >= next_kill:
                self.kill()
                time.sleep(self.chance.uniform(*DOWN_SECONDS))
                next_kill = time.monotonic() + self.chance.uniform(*KILL_EVERY)
            self.revive()
            time.sleep(0.2)

    def resumed_after(self) -> list[float]:
        """Seconds from each loss of a worker to the next claim of its job, if it was claimed."""
        waited = []
        for job, moment in self.moments:
            claims = [
                event.created_at.timestamp()
                for event in self.client.events(job)
                if event.kind == EventKind.CLAIMED and event.created_at.timestamp() > moment
            ]
            waited += [min(claims) - moment] if claims else []
        return waited


def job_row(fleet: Fleet, job: str) -> JobRow:
    """A job's row as it is."""
    with reading(fleet.database) as session:
        return session.get_one(JobRow, job)


def faults_of(storm: Storm) -> dict[str, list[str]]:
    """What was lost, doubled or wrong, each as a sentence."""
    lost, doubled, wrong = [], [], []
    known = storm.expected | dict.fromkeys(storm.repairs, "")
    with reading(storm.fleet.database) as session:
        rows = {row.id: row for row in session.scalars(select(JobRow))}
        kinds = Counter(map(tuple, session.execute(select(EventRow.job_id, EventRow.kind))))
    children = set[str]()
    for job in known:
        row = rows.get(job)
        if row is None or row.status not in FINISHED:
            lost.append(f"{job} is {row.status if row else 'gone'}")
        elif row.status != Status.SUCCEEDED:
            wrong.append(f"{job} {row.status}: {row.error}")
    for repair in storm.repairs:
        child = storm.client.remediation(repair).child_evaluation
        if child is not None:
            children.add(child)
            known[child] = "pass"
        elif rows[repair].status == Status.SUCCEEDED:
            lost.append(f"{repair} has no evaluation of what it made")
    for job, verdict in known.items():
        if verdict and job in rows and rows[job].status == Status.SUCCEEDED:
            found = storm.client.evaluation(job).verdict
            wrong += [f"{job} is {found}, expected {verdict}"] if found != verdict else []
            if kinds[job, EventKind.VERDICT.value] != 1:
                doubled.append(f"{job} has {kinds[job, EventKind.VERDICT.value]} verdicts")
    doubled += [f"{job} was submitted by nobody" for job in rows.keys() - known.keys()]
    return {"lost": lost, "doubled": doubled, "wrong": wrong}


def orphans(home: Path) -> list[str]:
    """Processes that were started with this data folder and still live."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                if f"HOLDFAST_HOME={home}".encode() in (place / "environ").read_bytes():
                    words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"{place.name} {words}")
    return found


@contextmanager
def databases(kind: str, home: Path) -> Iterator[str]:
    """The URL of an empty, migrated database."""
    with ExitStack() as stack:
        url = f"sqlite:///{home}/holdfast.db"
        if kind == "postgresql":
            url = stack.enter_context(postgres(stack.enter_context(scratch_folder())))
        upgrade(url)
        yield url


def run(kind: str, seconds: float, seed: int) -> bool:
    """One storm over a database; whether nothing was lost, doubled, wrong or left."""
    with scratch_folder() as home, scratch_folder() as folder, databases(kind, home) as url:
        with ExitStack() as broker:
            socket = broker.enter_context(redis_server(folder))
            with running_fleet(home, url, celery_url(socket), times={}) as fleet:
                storm = begun(fleet, seed)
                storm.go_on(seconds / 2)
                broker.close()
                storm.go_on(min(OUTAGE_SECONDS, seconds / 4))
                broker.enter_context(redis_server(folder))
                storm.go_on(seconds / 4)
                good = ended(storm, kind)
        left = orphans(home)
    print("\n".join(f"ORPHAN {one}" for one in left) or "orphans 0", flush=True)
    return good and not left


def begun(fleet: Fleet, seed: int) -> Storm:
    """A storm with its workers and its client, which waits for an API that is started again."""
    key = fleet.client.create_key(
        wire.NewKey(name="storm", scopes=("jobs:read", "jobs:write", "content:read"))
    )
    url = f"http://{fleet.settings.host}:{fleet.settings.port}"
    client = Client(url, key.token, patience=PATIENCE / 4)
    storm = Storm(fleet, client, random.Random(seed))  # noqa: S311  # a storm that SEED repeats
    storm.baseline = llama(fleet.settings.home / "models" / "base", 0, refuse_share=1.0)
    fleet.have_workers(WORKERS)
    return storm


def ended(storm: Storm, kind: str) -> bool:
    """Wait for the last job, count, and print; whether all is well."""
    storm.revive()
    with suppress(AssertionError):  # what has not ended by then is counted as lost
        eventually(lambda: not storm.unfinished(), "the end", PATIENCE, step=1.0)
    faults, waited = faults_of(storm), storm.resumed_after()
    n_jobs = f"{len(storm.expected)} evaluations, {len(storm.repairs)} repairs"
    print(f"{kind}: {n_jobs}; killed {dict(storm.killed)}")
    for name, found in faults.items():
        print(f"{name} {len(found)}")
        print("\n".join(f"  {one}" for one in found), end="\n" if found else "")
    if waited:
        median, worst = statistics.median(waited), max(waited)
        print(f"{len(waited)} lost workers: resumed after {median:.1f} s at the median, ", end="")
        print(f"{worst:.1f} s at worst; wanted {WANTED_MEDIAN:.0f} s at the median")
    return bool(storm.expected) and not any(faults.values())


def main() -> int:
    """Both storms; 0 if nothing was lost, doubled, wrong or left."""
    minutes = float(os.environ.get("MINUTES", "10"))
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    kinds = os.environ.get("DATABASES", "sqlite postgresql").split()
    print(f"SEED={seed}", flush=True)
    good = [run(kind, 60 * minutes / len(kinds), seed) for kind in kinds]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
