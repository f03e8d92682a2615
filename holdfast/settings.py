"""Settings: the environment, read once at a process's edge into one frozen object.

Nothing below the edge reads the environment. Embedded and production differ in two values only:
the database URL and the broker URL. Paths are made absolute here, since child processes run in a
working directory of ours, not in the user's.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.errors import InvalidSettings
from holdfast.evaluation import (
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    RESEND_HINT_SECONDS,
    RETRY_SECONDS,
    SWEEP_SECONDS,
)

GuardForm = Literal["llama-guard", "wildguard", "harmbench"]
EngineName = Literal["vllm", "transformers", "scripted"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]

PREFIX = "HOLDFAST_"
MAX_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


class Settings(BaseModel):
    """Every setting, named in the environment as HOLDFAST_<NAME IN CAPITALS>.

    `checkpoint_roots` is a colon-separated list; checkpoints outside these folders (and outside
    the data folder, where repairs are stored) are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    suites: Path | None = None  # None: HOLDFAST_HOME/suites
    database_url: str
    broker_url: str
    checkpoint_roots: tuple[Path, ...] = ()
    engine: EngineName = "vllm"
    dtype: Dtype = "auto"  # what engines and training compute in; auto: bfloat16 where it is fast
    queue: Literal["cpu", "gpu"] = "cpu"
    host: str = "127.0.0.1"
    port: int = Field(default=8321, ge=0, le=65535)
    server: str | None = None  # for clients; `up` writes its own into the data folder
    api_key: str | None = None
    key_pepper: str | None = None  # None: made once and kept in the data folder, mode 0600
    redis_server: Path | None = None
    jailbreak_templates: Path | None = None  # a JSON array of texts, for harm.jailbreak at `full`
    suffixes: Path | None = None  # likewise, for harm.suffix
    lm_eval_tasks: Path | None = None  # a folder of lm-evaluation-harness tasks, for cap.lm_eval
    max_jobs: int = Field(default=500, ge=1)  # unfinished ones of a project; more are 429
    gpu_memory_utilization: float = Field(default=0.85, gt=0, le=1)
    judge_url: str | None = None  # an OpenAI-compatible API, up to and with its /v1
    judge_model: str | None = None
    judge_form: GuardForm = "llama-guard"  # what the guard model was trained on
    judge_key_variable: str | None = None  # the NAME of the variable that holds the API key
    judge_timeout_seconds: float = Field(default=60, gt=0)
    judge_calls: int = Field(default=20_000, ge=1)  # budget of one run
    judge_tokens: int = Field(default=20_000_000, ge=1)
    lease_seconds: float = Field(default=LEASE_SECONDS, gt=0)
    heartbeat_seconds: float = Field(default=HEARTBEAT_SECONDS, gt=0)
    sweep_seconds: float = Field(default=SWEEP_SECONDS, gt=0)
    resend_hint_seconds: float = Field(default=RESEND_HINT_SECONDS, gt=0)
    retry_seconds: float = Field(default=RETRY_SECONDS, gt=0)

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_seconds > self.lease_seconds / 2:
            raise ValueError(
                f"heartbeat_seconds is {self.heartbeat_seconds:g} and lease_seconds "
                f"{self.lease_seconds:g}; a lease needs two beats, or one lost beat ends it"
            )
        return self

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where checkpoints may lie: the operator's roots and our own repairs."""
        return (*self.checkpoint_roots, self.home / "checkpoints")

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
    given: dict[str, object] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in source.items()
        if name.startswith(PREFIX) and name != PREFIX + "ACCEL"  # that one is the bootstrap's
    }
    home = Path(str(given.get("home", ".holdfast"))).absolute()
    given["home"] = home
    given["suites"] = suites_folder(source)
    if "checkpoint_roots" in given:
        parts = str(given["checkpoint_roots"]).split(":")
        given["checkpoint_roots"] = tuple(Path(part).absolute() for part in parts if part)
    for name in ("jailbreak_templates", "suffixes", "lm_eval_tasks"):
        if name in given:
            given[name] = Path(str(given[name])).absolute()
    given.setdefault("database_url", f"sqlite:///{home / 'holdfast.db'}")
    given.setdefault("broker_url", embedded_broker_url(home))
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # about several settings; the input would be all of them
            raise InvalidSettings(f"HOLDFAST_*: {first['msg']}") from error
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise InvalidSettings(f"{name}: {first['msg']} (found {first['input']!r})") from error


def suites_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where imported suites lie, by HOLDFAST_SUITES or else in the data folder."""
    source = os.environ if environment is None else environment
    return Path(source.get(PREFIX + "SUITES", data_folder(source) / "suites")).absolute()


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """HOLDFAST_HOME, for what needs no other setting and must not fail for one."""
    source = os.environ if environment is None else environment
    return Path(source.get(PREFIX + "HOME", ".holdfast")).absolute()


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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {
        PREFIX + name.upper(): str(value)
        for name, value in settings.model_dump(exclude={"checkpoint_roots"}).items()
        if value is not None
    }
    own[PREFIX + "CHECKPOINT_ROOTS"] = ":".join(str(root) for root in settings.checkpoint_roots)
    kept.pop("PYTHONPATH", None)
    return {**kept, **own, "PYTHONSAFEPATH": "1"}
