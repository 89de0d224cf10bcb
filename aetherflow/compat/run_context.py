"""The run context of steps of AetherFlow 0.0.x, which run in a worker thread."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from inspect import iscoroutinefunction, ismethod
from pathlib import Path
from typing import Any, Literal, Self

from aetherflow import Connector, RemoteFiles, StepContext, StepError
from aetherflow.compat.old_connectors import OPENING, ConnectorError, OldConnector
from aetherflow.compat.old_files import OldFiles
from aetherflow.compat.run_locks import HeldLocks

_AREAS = ("artifacts", "scratch", "manifests")
_PREFIX = "AETHERFLOW_"


@dataclass(frozen=True)
class Settings:
    """Those settings that plugins of the old kind may look at, as their variables spell them."""

    work_root: str = ""
    state_root: str = ""
    log_level: str = "INFO"
    log_format: str = "text"

    @classmethod
    def from_env(cls, env: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
        """Read them from an environment snapshot."""
        variables = {field.name: env.get(_PREFIX + field.name.upper(), "") for field in fields(cls)}
        return cls(**{name: text for name, text in variables.items() if text} | dict(overrides or {}))


class RunContext:
    """The `ctx` of a step of the old kind."""

    def __init__(self, context: StepContext, locks: HeldLocks) -> None:
        self._context = context
        self._locks = locks
        self.flow_id = context.flow_id
        self.run_id = context.run_id
        self.env: dict[str, str] = dict(context.env)
        self.connectors = Connectors(self, context)

    @cached_property
    def settings(self) -> Settings:
        """The settings."""
        return Settings.from_env(self.env, {"work_root": str(self.work_root)})

    @cached_property
    def log(self) -> logging.Logger:
        """A logger whose records become notices of the step, masked as all of them."""
        # One of its own: the loggers of the process belong to no run.
        logger = logging.Logger(f"aetherflow.flow.{self.flow_id}")  # noqa: LOG001 - see above
        logger.addHandler(_Notices(self._context))
        return logger

    @property
    def work_root(self) -> Path:
        """The root of the workspace."""
        return self._context.directory("").parents[2]

    @property
    def layout(self) -> dict[str, str]:
        """The folders of a job, relative to the job's own."""
        base = self._context.directory("")
        return {area: str(self._context.directory(area).relative_to(base)) for area in _AREAS}

    def job_dir(self, job_id: str) -> Path:
        """Return the folder of a job in this run; create it if it does not exist."""
        return self._context.directory("", job_id)

    def artifacts_dir(self, job_id: str) -> Path:
        """Return the artifacts folder of a job; create it if it does not exist."""
        return self._context.directory("artifacts", job_id)

    def scratch_dir(self, job_id: str) -> Path:
        """Return the scratch folder of a job; create it if it does not exist."""
        return self._context.directory("scratch", job_id)

    def manifests_dir(self, job_id: str) -> Path:
        """Return the manifests folder of a job; create it if it does not exist."""
        return self._context.directory("manifests", job_id)

    def acquire_lock(self, key: str, ttl_seconds: int = 600) -> bool:
        """Take a named lock; return whether it was free.

        It is renewed until it is released, at the latest when the step ends.
        """
        return self._context.run_async(self._locks.acquire, key, float(ttl_seconds))

    def release_lock(self, key: str) -> None:
        """Release a lock of this step; a lock of another step is not released."""
        self._context.run_async(self._locks.release, key)


class Connectors:
    """The connectors of the run: `ctx.connectors["name"]`."""

    def __init__(self, run: RunContext, context: StepContext) -> None:
        self._run = run
        self._context = context

    def __getitem__(self, name: str) -> Any:
        """Return the connector of a resource, opened at its first use in the run.

        A connector of the new kind is returned with its coroutine methods made blocking.

        Raises:
            AetherFlowError: there is no such resource, or it cannot be opened.
        """
        found = self._context.run_async(self._open_connector, name)
        if isinstance(found, OldConnector):
            return found.connection
        blocking = Blocking(found, self._context)
        return OldFiles(blocking) if isinstance(found, RemoteFiles) else blocking

    def get(self, *, kind: str, name: str, cache: str | None = None) -> Any:  # noqa: ARG002 - cached per run
        """Return the connector of a resource, if it is of that kind.

        Raises:
            KeyError: it is of another kind.
        """
        found = self[name]
        if getattr(found, "kind", kind) != kind:
            raise KeyError(f"the resource {name} is of the kind {found.kind}, not {kind}")
        return found

    def db(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind db."""
        return self.get(kind="db", name=name, cache=cache)

    def rest(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind rest."""
        return self.get(kind="rest", name=name, cache=cache)

    def sftp(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind sftp."""
        return self.get(kind="sftp", name=name, cache=cache)

    def smb(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind smb."""
        return self.get(kind="smb", name=name, cache=cache)

    def mail(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind mail."""
        return self.get(kind="mail", name=name, cache=cache)

    def archive(self, name: str, *, cache: str | None = None) -> Any:
        """Return a connector of the kind archive."""
        return self.get(kind="archive", name=name, cache=cache)

    async def _open_connector(self, name: str) -> Connector:
        opening = OPENING.set(self._run)
        try:
            return await self._context.connector(name)
        finally:
            OPENING.reset(opening)


class Blocking:
    """A connector of the new kind for code in a worker thread: its coroutine methods wait.

    The run closes it, so the end of a `with` block and `close` do nothing.
    """

    def __init__(self, connector: Connector, context: StepContext) -> None:
        self._connector = connector
        self._context = context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave it open: other steps use it too."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connector, name)
        if not ismethod(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                if iscoroutinefunction(found):
                    return self._context.run_async(partial(found, *args, **kwargs))
                return found(*args, **kwargs)
            except StepError as error:
                if error.kind == "cancelled":
                    raise
                raise ConnectorError.of(error) from error

        return call


class _Notices(logging.Handler):
    """Says log records as notices of a step."""

    def __init__(self, context: StepContext) -> None:
        super().__init__()
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        except Exception as error:  # noqa: BLE001 - whatever an argument's own code raises
            # as in logging: a wrong call is reported and fails nothing
            text = (
                f"{record.pathname}:{record.lineno}: wrong call of the log: {type(error).__name__}: {error}"
            )
            record.levelno = logging.WARNING
        self._context.say(text, _level(record.levelno))


def _level(number: int) -> Literal["debug", "info", "warning"]:
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def new_run_id() -> str:
    """Return a new run id: 12 hex digits."""
    return secrets.token_hex(6)
