"""Settings: the environment, read once at a process's edge into one frozen object.

Nothing below the edge reads the environment. Embedded and production differ in two values only:
the database URL and the broker URL. Paths are made absolute here, since child processes run in a
working directory of ours, not in the user's.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.errors import InvalidSettings
from holdfast.job import (
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    RESEND_HINT_SECONDS,
    RETRY_SECONDS,
    SWEEP_SECONDS,
)

GuardForm = Literal["llama-guard", "wildguard", "harmbench"]
EngineName = Literal["vllm", "transformers", "scripted"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]
WallMode = Literal["auto", "off", "required"]
Executor = Literal["mp", "ray"]

PREFIX = "HOLDFAST_"
MAX_MODEL_LEN = 2048
PRIVATE_UMASK = 0o077  # of every process of ours that writes into a data folder
MAX_DAYS = 36_500  # of an age after which something is removed; unset is for ever
MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


class Settings(BaseModel):
    """Every setting, named in the environment as HOLDFAST_<NAME IN CAPITALS>.

    The sentences below the fields are what docs/settings.md says of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    """The data folder: database, keys, logs, imported suites, repaired checkpoints. Unset:
    `.holdfast` in the working directory."""
    suites: Path | None = None
    """Where imported suites lie. Unset: `suites` in the data folder."""
    database_url: str
    """SQLAlchemy's URL of the database, PostgreSQL or SQLite. Unset: SQLite in the data folder."""
    broker_url: str
    """Celery's URL of Redis. Unset: the private Redis of the data folder, which `holdfast up`
    starts; it must be unset for that."""
    checkpoint_roots: tuple[Path, ...] = ()
    """The folders, separated by colons, in which checkpoints and task data may lie; anything
    outside them is refused, but for the repairs in the data folder. `holdfast up` adds the folder
    that it is started in and each `--root`."""
    engine: EngineName = "vllm"
    """What models run on: `vllm`, `transformers` (any machine that runs torch, slower), or
    `scripted` (no model, for tests)."""
    dtype: Dtype = "auto"
    """What engines and training compute in. `auto`: bfloat16 where this machine is measured to be
    fast at it, else float32 (docs/machines.md)."""
    wall: WallMode = "auto"
    """The walls around processes that load checkpoints (docs/walls.md). `auto`: all that the kernel
    has; `required`: nothing is started unless all of them stand; `off`: none."""
    max_model_len: int = Field(default=MAX_MODEL_LEN, ge=64)
    """How many tokens a prompt and its answer may have together."""
    queue: Literal["cpu", "gpu"] = "cpu"
    """Which jobs a worker takes, and where new ones are queued."""
    host: str = "127.0.0.1"
    """The address that the API listens at."""
    port: int = Field(default=8321, ge=0, le=65535)
    """The port that the API listens at; 0 is any free one. Unset, `holdfast up` takes a free one
    where 8321 is in use."""
    server: str | None = None
    """For clients: the server's URL. Unset: the stack that runs in the data folder, if its files
    are this user's alone."""
    api_key: str | None = None
    """For clients: the key of HOLDFAST_SERVER, which alone it is sent to; the stack in the data
    folder gets its own admin key."""
    patience_seconds: float = Field(default=60, ge=0, le=3600)
    """For clients: for how long `submit` and `remediate` try to reach a server that does not
    answer, as one that is being started again; 0 gives up after two seconds."""
    key_pepper: str | None = None
    """What API keys are hashed with. Unset: made once and kept in the data folder, mode 0600."""
    redis_server: Path | None = None
    """The redis-server or valkey-server (6.2 or later) of `holdfast up`. Unset: a wheel's, else the
    one on PATH."""
    jailbreak_templates: Path | None = None
    """A JSON array of texts, for `harm.jailbreak` at tier `full` (docs/harm-probes.md)."""
    suffixes: Path | None = None
    """A JSON array of texts, for `harm.suffix` (docs/harm-probes.md)."""
    lm_eval_tasks: Path | None = None
    """A folder of lm-evaluation-harness tasks, for `cap.lm_eval`."""
    trusted_proxies: str = ""
    """Addresses or networks, with commas between them, of proxies whose `X-Forwarded-For` is
    believed. Unset: nobody's, and the address of a request is that of the connection."""
    metrics_open: bool = False
    """Whether `/metrics` is answered without a key; else a key with `jobs:read`, of any project, is
    needed."""
    max_jobs: int = Field(default=500, ge=1)
    """How many unfinished jobs a project may have; one more is answered with 429."""
    writes_per_minute: int = Field(default=600, ge=1)
    """How many requests that change something a key may send in a minute, and its project five
    times as many; one more is answered with 429."""
    reads_per_minute: int = Field(default=6000, ge=1)
    """The same for requests that only read."""
    failed_keys_per_minute: int = Field(default=60, ge=1)
    """How many keys that are no good an address may send in a minute."""
    max_admissions: int = Field(default=16, ge=1, le=30)
    """How many requests may wait while the folders of others are read, half of them of one
    project; one more is answered with 503."""
    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    """The share of a GPU's memory that vLLM takes."""
    tensor_parallel: int = Field(default=1, ge=1)
    """Over how many devices vLLM splits every layer of a model (docs/scale.md). Answers are kept
    apart by it, since sums are rounded in another order."""
    pipeline_parallel: int = Field(default=1, ge=1)
    """Into how many parts vLLM cuts a model's layers, one part after the other on devices of their
    own."""
    parallel_executor: Executor = "mp"
    """What starts a split model's processes: `mp` on one host, `ray` on several (its cluster runs
    already, and HOLDFAST_WALL is `off`: processes elsewhere stand behind no wall of ours)."""
    judge_url: str | None = None
    """An OpenAI-compatible API with a judge model, up to and with its `/v1` (docs/judges.md)."""
    judge_model: str | None = None
    """The judge's name at that API."""
    judge_form: GuardForm = "llama-guard"
    """Which prompt a guard model was trained on."""
    judge_key_variable: str | None = None
    """The *name* of the variable that holds the API key of the judge."""
    judge_timeout_seconds: float = Field(default=60, gt=0)
    """How long one reply of the judge may take."""
    judge_calls: int = Field(default=20_000, ge=1)
    """How many calls to the judge one evaluation may make."""
    judge_tokens: int = Field(default=20_000_000, ge=1)
    """How many tokens of the judge one evaluation may spend."""
    lease_seconds: float = Field(default=LEASE_SECONDS, gt=0)
    """How long a job stays with a worker that says nothing."""
    heartbeat_seconds: float = Field(default=HEARTBEAT_SECONDS, gt=0)
    """How often a worker says that it is alive; at most half a lease."""
    sweep_seconds: float = Field(default=SWEEP_SECONDS, gt=0)
    """How often the sweeper frees expired leases and repeats lost hints."""
    resend_hint_seconds: float = Field(default=RESEND_HINT_SECONDS, gt=0)
    """How long a job is queued before its hint counts as lost."""
    retry_seconds: float = Field(default=RETRY_SECONDS, gt=0)
    """How long a job waits after a crash, or an error that may pass, before it is tried again."""
    keep_answers_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """After how many days answers are removed (docs/retention.md). Unset: never."""
    keep_events_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """How many days after a job has finished its events are removed. Unset: never."""
    keep_trials_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """How many days after an evaluation has finished its trials are removed; its evidence files are
    written to `archive` in the data folder first. Unset: never."""
    keep_transcripts_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """How many days after a job has finished the files that workers wrote for it, such as rehearsal
    rows, are removed. Unset: never."""
    keep_repairs_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """How many days after a repair has finished the weights that it made are removed. Unset:
    never."""
    keep_merged_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    """After how many days without use the weights of a merged adapter are removed, half a day at
    the least; they are merged again when they are needed. Unset: when another is merged."""

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_seconds > self.lease_seconds / 2:
            raise ValueError(
                f"heartbeat_seconds is {self.heartbeat_seconds:g} and lease_seconds "
                f"{self.lease_seconds:g}; a lease needs two beats, or one lost beat ends it"
            )
        return self

    @model_validator(mode="after")
    def _splits_what_can_be_split(self) -> Self:
        split = self.tensor_parallel * self.pipeline_parallel
        if split > 1 and self.engine != "vllm":
            raise ValueError(
                f"tensor_parallel and pipeline_parallel are vLLM's, and engine is {self.engine}; "
                "set both to 1"
            )
        if self.parallel_executor == "ray" and self.wall != "off":
            raise ValueError(
                f"parallel_executor is ray and wall is {self.wall}: what Ray starts on other hosts "
                "stands behind no wall; set HOLDFAST_WALL=off, or use mp on one host"
            )
        return self

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where checkpoints may lie: the operator's roots and our own repairs."""
        return (*self.checkpoint_roots, self.repairs)

    @property
    def repairs(self) -> Path:
        """Where repaired checkpoints are written, a folder for each repair."""
        return self.home / "checkpoints"

    @property
    def installed_suites(self) -> Path:
        """Where imported suites lie, for whoever imports, submits or asks them."""
        return self.suites or self.home / "suites"

    @property
    def redis_socket(self) -> Path:
        """The embedded broker's private socket."""
        return self.home / "redis" / "r.sock"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from HOLDFAST_* variables; a name that is not a setting is refused."""
    source = os.environ if environment is None else environment
    values: dict[str, object] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in source.items()
        if name.startswith(PREFIX) and name != PREFIX + "ACCEL"  # that one is the bootstrap's
    }
    home = Path(str(values.get("home", ".holdfast"))).absolute()
    values["home"] = home
    values["suites"] = suites_folder(source)
    if "checkpoint_roots" in values:
        values["checkpoint_roots"] = _listed_folders(str(values["checkpoint_roots"]))
    for name in ("jailbreak_templates", "suffixes", "lm_eval_tasks"):
        if name in values:
            values[name] = Path(str(values[name])).absolute()
    values.setdefault("database_url", f"sqlite:///{home / 'holdfast.db'}")
    values.setdefault("broker_url", embedded_broker_url(home))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # about several settings; the input would be all of them
            raise InvalidSettings(f"HOLDFAST_*: {first['msg']}") from error
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise InvalidSettings(f"{name}: {first['msg']} (found {first['input']!r})") from error


def _listed_folders(text: str) -> tuple[Path, ...]:
    folders = tuple(Path(part).absolute() for part in text.split(":") if part)
    for folder in folders:
        if "," in str(folder) and not folder.is_dir():
            raise InvalidSettings(
                f"HOLDFAST_CHECKPOINT_ROOTS: there is no folder {folder}, whose name has a comma; "
                "separate folders by colons"
            )
    return folders


def suites_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where imported suites lie, by HOLDFAST_SUITES or else in the data folder."""
    source = os.environ if environment is None else environment
    return Path(source.get(PREFIX + "SUITES", data_folder(source) / "suites")).absolute()


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """HOLDFAST_HOME, for what needs no other setting and must not fail for one."""
    source = os.environ if environment is None else environment
    return Path(source.get(PREFIX + "HOME", ".holdfast")).absolute()


def make_home(home: Path) -> None:
    """Make the data folder, readable by this user alone; InvalidSettings if it cannot be used."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise InvalidSettings(
            f"the data folder {home} cannot be written ({error.strerror}); "
            "set HOLDFAST_HOME to a folder that can"
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder in the data folder, and all that lead to it, for this user alone."""
    for path in (*reversed(folder.parents), folder):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def private_files() -> Iterator[None]:
    """Make what is created in the block, by children started there too, this user's alone."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def embedded_broker_url(home: Path) -> str:
    """The URL of the private Redis in a data folder, for Celery."""
    socket = home / "redis" / "r.sock"
    if len(str(socket)) > MAX_SOCKET_PATH:
        raise InvalidSettings(
            f"HOLDFAST_HOME is {home}: the socket path in it has {len(str(socket))} characters, "
            f"expected at most {MAX_SOCKET_PATH}; choose a shorter data folder"
        )
    return f"redis+socket://{quote(str(socket))}?virtual_host=0"


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of our child processes: these settings and nothing of the user's folder.

    PYTHONSAFEPATH, because users' repositories hold folders named `service` and `training` too.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    variables = {
        PREFIX + name.upper(): str(value)
        for name, value in settings.model_dump(exclude={"checkpoint_roots"}).items()
        if value is not None
    }
    if halved := [root for root in settings.checkpoint_roots if ":" in str(root)]:
        raise InvalidSettings(
            f"checkpoints cannot lie in {halved[0]}: colons separate the folders of "
            "HOLDFAST_CHECKPOINT_ROOTS; rename it"
        )
    variables[PREFIX + "CHECKPOINT_ROOTS"] = ":".join(
        str(root) for root in settings.checkpoint_roots
    )
    inherited.pop("PYTHONPATH", None)
    return {**inherited, **variables, "PYTHONSAFEPATH": "1"}
