"""Keep the metrics of one-shot runs in a file for the textfile collector of node_exporter.

Counters continue over runs: each run reads the file, adds its own, and replaces it, under a lock on
`FILE.lock`. That file also says which runs have begun, so that the next one counts those that were killed.
Nothing here changes how a run ends: what goes wrong is a warning.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec

from aetherflow.events.run_events import Event, RunFinished, RunResumed, RunStarted
from aetherflow.file_access import FileAccess, file_mode
from aetherflow.observe import metric_definitions as m
from aetherflow.observe.metric_fold import MetricsFold
from aetherflow.observe.metric_text import Exposition, read_families
from aetherflow.observe.metric_values import MetricValues
from aetherflow.runs.shared_file import LARGEST_BYTES, content_of, locked, replace
from aetherflow.store.process_identity import ProcessIdentity, is_dead, this_process
from aetherflow.worker_threads import WorkerThreads

WRITE_SECONDS = 10.0
"""How long the end of a command may wait for the file in all."""

STALE_SECONDS = 30 * 86400.0
"""After how long a run is forgotten that began on a host that cannot be asked."""

_threads = WorkerThreads("metrics file", 1)


class Warned(msgspec.Struct, frozen=True):
    """Something that went wrong with the file."""

    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"warning[{self.code}]: {self.message}{hint}"


class _Begun(msgspec.Struct, frozen=True):
    """A run that has begun and was not counted yet; `at` is in seconds since 1970."""

    flow: str
    process: ProcessIdentity
    at: float


_begun = msgspec.json.Decoder(dict[str, _Begun])


class MetricsFile:
    """The metrics of the runs of this process, an observer of them, and the file that they are added to.

    Attributes:
        warnings: what went wrong, each kind once.
    """

    def __init__(self, path: Path, access: FileAccess = "private") -> None:
        """Make it; the file is not touched yet.

        Raises:
            MissingExtra: the library prometheus-client is not installed.
        """
        self.path = path
        self.warnings: dict[str, Warned] = {}
        self._exposition = Exposition()
        self._access = access
        self._fold = MetricsFold()
        self._open: dict[str, str] = {}

    async def __call__(self, events: Sequence[Event]) -> None:
        """Fold events; note in the lock file that a run has begun."""
        await self._fold(events)
        begun = {}
        for event in events:
            if isinstance(event, RunStarted | RunResumed):
                begun[event.run_id] = event.flow_id
            elif isinstance(event, RunFinished):
                self._open.pop(event.run_id, None)
                begun.pop(event.run_id, None)
        if begun:
            self._open |= begun
            await _threads.run(self._guarded, begun, False, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Do nothing: `write` follows when the run has ended."""

    async def write(self) -> None:
        """Add what was counted to the file; give up on a file system that hangs."""
        with anyio.move_on_after(WRITE_SECONDS, shield=True) as scope:
            await _threads.run(self._guarded, {}, True, abandon_on_cancel=True)
        if scope.cancelled_caught:
            self._warn("AF891", f"the metrics file {self.path} was not written within {WRITE_SECONDS:g} s")

    def _guarded(self, begun: dict[str, str], is_end: bool) -> None:  # noqa: FBT001 - a thread's arguments
        try:
            with locked(self._lock_path(), file_mode(self._access)) as lock:
                self._update(lock, begun, is_end=is_end)
        except OSError as error:
            name = error.filename or self.path
            self._warn(
                "AF891",
                f"the metrics file {self.path} was not written: {name}: {error.strerror or error}",
                "the run itself is not affected; its folder must exist, with room, and be writable",
            )

    def _update(self, lock: int, begun: dict[str, str], *, is_end: bool) -> None:
        now, own = time.time(), this_process()
        known = _read_begun(lock)
        killed = {run: one for run, one in known.items() if _is_over(one.process)}
        mine = () if is_end else self._open
        kept = {
            run: one
            for run, one in known.items()
            if run not in killed and now - one.at < STALE_SECONDS and (one.process != own or run in mine)
        }
        if not is_end:
            kept |= {run: _Begun(flow, own, now) for run, flow in begun.items()}
        try:
            if (is_end or killed) and not self._count([one.flow for one in killed.values()], is_end=is_end):
                kept |= killed
        except OSError:
            kept |= killed  # the next run may count them
            raise
        finally:
            _write_begun(lock, kept)

    def _count(self, killed: Sequence[str], *, is_end: bool) -> bool:
        """Add to the file the flows whose runs were killed, and at the end what this process has counted.

        Return False if the file must not be replaced.

        Raises:
            OSError: it cannot be read or written.
        """
        values, now = self._old_values(), time.time()
        if values is None:
            return False
        for flow in killed:
            values.add(m.RUNS_STARTED, flow)  # its own process had no time to add that
            _interrupted(values, flow, now)
        if is_end:
            for flow in self._open.values():  # its state could not be stored
                _interrupted(self._fold.values, flow, now)
            for (flow,) in self._fold.values.labels(m.RUNS_STARTED):
                values.add(m.RUNS, flow, "INTERRUPTED", number=0)  # an increase is seen only from 0
            _merge_runs(values, self._fold.values)
        text, _ = self._exposition.text(values.families())
        replace(self._target(), text)
        return True

    def _old_values(self) -> MetricValues | None:
        """Return the values of the file; None if the file must not be replaced."""
        values = MetricValues()
        content = content_of(self._target())
        if content is None or not content.strip():
            return values
        text = content.decode("utf-8", "replace")
        if "aetherflow_" not in text:
            self._warn(
                "AF891",
                f"the metrics file {self.path} was not written: it has none of AetherFlow's metrics, and is "
                "left as it is",
                "name another file, or remove this one",
            )
            return None
        try:
            for family in read_families(text):
                if family.metric.where == "runs":
                    values.merge(family)
        except ValueError as error:
            self._warn("AF892", f"the metrics file {self.path} cannot be read, and is replaced: {error}")
            return MetricValues()
        return values

    def _target(self) -> Path:
        return Path(os.path.realpath(self.path))  # a link stays a link

    def _lock_path(self) -> Path:
        target = self._target()
        return target.with_name(f"{target.name}.lock")

    def _warn(self, code: str, message: str, hint: str = "") -> None:
        self.warnings.setdefault(code, Warned(code, message, hint))


def _interrupted(values: MetricValues, flow: str, now: float) -> None:
    values.add(m.RUNS, flow, "INTERRUPTED")
    values.run_ended(flow, now, succeeded=False)


def _merge_runs(values: MetricValues, own: MetricValues) -> None:
    """Add what this process has counted; of two gauges of a flow the later one stays."""
    for family in own.families():
        if family.metric.kind != "gauge":
            values.merge(family)
        elif family.metric in (m.LAST_RUN, m.LAST_SUCCESS):
            for (flow,), at in family.numbers.items():
                succeeded = family.metric == m.LAST_SUCCESS or own.number(m.LAST_RUN_OK, flow) == 1
                values.run_ended(flow, at, succeeded=succeeded)


def _read_begun(lock: int) -> dict[str, _Begun]:
    """Return the runs that have begun; none if nobody can read what is there."""
    content = os.pread(lock, LARGEST_BYTES, 0)
    try:
        return _begun.decode(content) if content else {}
    except msgspec.DecodeError:
        return {}  # cut by a full disk: the runs that were killed then are not counted


def _write_begun(lock: int, begun: dict[str, _Begun]) -> None:
    content = msgspec.json.encode(begun)
    if os.pread(lock, LARGEST_BYTES, 0) != content:
        os.ftruncate(lock, 0)
        os.pwrite(lock, content, 0)


def _is_over(process: ProcessIdentity) -> bool:
    """Whether a process has certainly ended; the host may have booted since."""
    if is_dead(process):
        return True
    there, here = process.host.split(), this_process().host.split()
    return len(there) > 1 and len(here) > 1 and there[0] == here[0] and there[1] != here[1]
