"""The context of a step: its identity, files, connectors, locks, log, and whether it must stop.

It imports neither the engine nor the database; `RunServices` brings their services.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread

from aetherflow.config.archive_drivers import driver_refused
from aetherflow.config.restrictions import is_under
from aetherflow.errors import StepError
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.event_words import progress_text
from aetherflow.events.lineage import Dataset, Statement
from aetherflow.events.marks import Mark
from aetherflow.events.run_events import Notice, StepEvent, StepOutput, StepProgress
from aetherflow.file_access import FileAccess, make_folder
from aetherflow.plugin_output import Level
from aetherflow.ports import EffectLog, EffectState, MarkLog
from aetherflow.run_ids import folder_name
from aetherflow.sdk.blocking import (
    ThreadCall,
    call_in_thread,
    current_call,
    on_loop,
    refuse_coroutine_function,
    stopped,
)
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.effects import Effect, NestedEffects, NoEffects, Verify
from aetherflow.sdk.files import atomic_write, remove_incomplete
from aetherflow.sdk.lineage import Lineage
from aetherflow.sdk.lock_wait import OnLockWait, report_to_nobody
from aetherflow.sdk.marks import NoMarks, check_mark_text
from aetherflow.sdk.progress import ProgressGate, plain_number
from aetherflow.sdk.services import Background, OnPlaced, OnRefused, RunServices, not_noted
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.step_failure import plugin_errors_contained
from aetherflow.sdk.step_identity import StepIdentity

T = TypeVar("T")
E = TypeVar("E", bound=StepEvent)
Args = TypeVarTuple("Args")

_LEVELS = frozenset({"debug", "info", "warning", "error"})
"""The levels that observers have."""


class StepContext(StepIdentity):
    """The context of one attempt of one step; the first argument of every step function.

    Attributes:
        progress_note: how far the step came, in words; shown if a time limit ends the step.
        on_interrupt: what the flow says about a step that nobody knows the end of: `rerun`, `fail`, `skip`.
        is_foreign, effects, marks, noted_lineage, on_placed, on_refused: the engine's own; see `StepType`,
            `effect`, `mark` and `Placement`.
    """

    def __init__(
        self,
        services: RunServices,
        *,
        job_id: str,
        step_id: str,
        step_type: str,
        attempt: int = 1,
        effects: EffectLog | None = None,
        marks: MarkLog | None = None,
        on_lock_wait: OnLockWait = report_to_nobody,
        on_placed: OnPlaced = not_noted,
        on_refused: OnRefused = not_noted,
        is_foreign: bool = True,
        on_interrupt: Literal["rerun", "fail", "skip"] = "rerun",
    ) -> None:
        super().__init__(services, job_id=job_id, step_id=step_id, step_type=step_type, attempt=attempt)
        self.on_interrupt = on_interrupt
        self.is_foreign = is_foreign
        self.progress_note = ""
        self._last_call: ThreadCall | None = None
        self.effects: EffectLog = effects or NoEffects()
        self._earlier_effects = dict(self.effects.stored())
        self.marks: MarkLog = marks or NoMarks()
        self._on_lock_wait = on_lock_wait
        self.on_placed = on_placed
        self.on_refused = on_refused
        self._progress = ProgressGate()
        self.noted_lineage = Lineage()
        self._written: set[Path] = set()
        self._undo: list[Callable[[], Awaitable[object]]] = []

    @property
    def artifacts(self) -> Path:
        """The job's artifacts folder, created at its first use; relative paths are below it."""
        return self._services.workspace.directory(self.job_id, "artifacts")

    @property
    def scratch(self) -> Path:
        """The job's scratch folder, created at its first use."""
        return self._services.workspace.directory(self.job_id, "scratch")

    @property
    def manifests(self) -> Path:
        """The job's manifests folder, created at its first use."""
        return self._services.workspace.directory(self.job_id, "manifests")

    def directory(self, area: str, job_id: str = "") -> Path:
        """Return the folder of a key of `workspace.layout`, created at its first use.

        Args:
            area: artifacts, scratch, manifests, or a key that the flow added; "" is the whole job folder.
            job_id: another job of the run; by default the step's own.
        """
        return self._services.workspace.directory(job_id or self.job_id, area)

    @property
    def log_file(self) -> Path:
        """The file for the full output of this attempt: `<logs>/<run>/<job>/<step>.<attempt>.log`."""
        of_job = self._services.log_directory / folder_name(self.run_id) / self.job_id
        return of_job / f"{self.step_id}.{self.attempt}.log"

    def path(self, text: str) -> Path:
        """Return the path that an input names: absolute, or below the job's artifacts folder.

        Raises:
            StepError: a relative path leaves that folder, or the path is not allowed in enterprise mode.
        """
        workspace = self._services.workspace
        path = workspace.resolve(self.job_id, text)
        if not workspace.strict and not Path(text).is_absolute() and workspace.is_outside(self.job_id, path):
            self.log(f"the path {text!r} leaves the job's artifacts folder", "warning")
        return path

    @property
    def is_enterprise(self) -> bool:
        """Whether enterprise mode is on, which restricts what flows may do."""
        return self._services.zip_drivers is not None

    def check_zip_driver(self, driver: str, *, is_declared: bool = True) -> None:
        """Check that an archive driver may be used; a step that packs or unpacks calls this first.

        Args:
            driver: its name.
            is_declared: whether the flow declares it as a resource; else the step chose it.

        Raises:
            StepError: in enterprise mode, the manifest does not list it, or no resource declares it.
        """
        allowed = self._services.zip_drivers
        if allowed is not None and not (driver in allowed and is_declared):
            message, hint = driver_refused(driver, allowed)
            raise StepError(message, hint=hint, code="AF872")

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """Write a file atomically: a `with` block gets a temporary path, which is renamed at its end.

        A new file in the workspace is private (see `AETHERFLOW_FILE_ACCESS`), another one has the mode that
        the umask says. A file that is replaced passes its mode on. What an earlier execution of the run left
        incomplete when it was killed is removed, and the log says so.
        """
        if self.execution > 1 and path not in self._written:
            for left in remove_incomplete(path, self.idempotency_key):
                self.log(f"removed {left}, which was left incomplete when the run was killed")
        self._written.add(path)
        by = self._services.publisher  # also in a thread that the step has started
        with atomic_write(path, access=self.access_of(path), owner=self.idempotency_key, by=by) as temporary:
            yield temporary

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, with the access of new files; nothing happens if it exists.

        Raises:
            OSError: it cannot be made, or a file is in its place.
        """
        make_folder(path, self.access_of(path))

    @property
    def job_folders(self) -> list[Path]:
        """The folders of the job that the layout names, and the folder that they are in."""
        return self._services.workspace.folders(self.job_id)

    def access_of(self, path: Path) -> FileAccess | None:
        """Return who may read a new file: `private` or `group`; None where the umask says it.

        The setting is for the workspace and the logs; other places may be shared with other programs.
        """
        workspace, logs = self._services.workspace, self._services.log_directory
        # A log needs no look at the disk: no step makes links there.
        is_log = path.is_relative_to(logs) and ".." not in path.parts
        return workspace.access if is_log or is_under(path, (workspace.root, logs)) else None

    @property
    def background(self) -> Background | None:
        """Runs work that continues when the step has ended; None in a test of a step alone."""
        return self._services.background

    def undo_if_failed(self, undo: Callable[[], Awaitable[object]]) -> None:
        """Call `undo` if the attempt fails from now on, or is cancelled; also after the step has returned.

        It runs in a task that may be cancelled: it shields what it must do, with a deadline.
        """
        self._undo.append(undo)

    @property
    def has_to_undo(self) -> bool:
        """Whether a failure of the attempt would have something to undo."""
        return bool(self._undo)

    async def undo(self) -> None:
        """Undo what a failed attempt has left; the engine calls it."""
        while self._undo:
            await self._undo.pop()()

    async def connector(self, name: str) -> Connector:
        """Return the open connector of a resource of the flow.

        Raises:
            StepError: the connector cannot be opened.
        """
        return await self._services.connectors.get(name, self)

    def has_resource(self, name: str) -> bool:
        """Whether the flow declares a resource of this name."""
        return self._services.connectors.knows(name)

    async def release_connectors(self) -> None:
        """Close the connectors that only this attempt has open; the engine calls it at the end."""
        for problem in await self._services.connectors.release(self):
            self.log(problem.message, "warning")

    def lock(
        self, key: str, *, ttl_seconds: float = 600, wait_seconds: float = 0
    ) -> AbstractAsyncContextManager[None]:
        """Hold a named lock in an `async with` block; the engine renews its lease while the block runs.

        Raises:
            StepError: the key contains a secret, but keys are shown; or another step holds the lock.
        """
        if self.redactor.text(key) != key:
            raise StepError(
                "the lock_key holds a secret, and the keys of locks are stored and shown",
                hint="name the lock by something that may be seen",
                code="AF622",
            )
        hold = partial(self._services.locks.hold, key, job_id=self.job_id, step_id=self.step_id)
        return hold(ttl_seconds=ttl_seconds, wait_seconds=wait_seconds, on_wait=self._on_lock_wait)

    def effect(
        self, key: str, *, verify: Verify | None = None, detail: Mapping[str, Any] | None = None
    ) -> Effect:
        """Make a change outside the run in a block: `async with` or, in a sync step, `with`.

        The intent is durable before the block begins, and the confirmation is stored when it ends without an
        error. A later attempt or a resumed run finds a confirmed effect `done`. If the process died in
        between, `verify` is called first; without `verify` the effect is repeated, as `on_interrupt: rerun`
        says.

            async with context.effect("upload a.csv", verify=its_size_is_right) as upload:
                if not upload.done:
                    await put("a.csv")

        Args:
            key: names the effect: the same in every attempt, unique in the step, and without secrets.
            verify: returns facts about the effect (or True) if it has happened, else None. A coroutine
                function in an `async with` block, a plain function in a `with` block.
            detail: facts that help a person to verify the effect; stored with the intent.
        """
        return Effect(
            key,
            detail=detail or {},
            verify=verify,
            log=self.effects,
            redactor=self.redactor,
            run_async=self.run_async,
        )

    @property
    def earlier_effects(self) -> Mapping[str, EffectState]:
        """What earlier attempts of the step began or did outside the run, by key.

        Each has the `detail` of its intent, `is_confirmed` and its `result`. Empty in a first attempt, and
        after `--rerun`.
        """
        return dict(self._earlier_effects)

    async def mark(self, name: str) -> Mark | None:
        """Return the high-water mark of this name that the step starts from; None if there is none.

        `StepResult(marks={name: Mark.of(value)})` moves it, together with the SUCCESS.

        Raises:
            StepError: the name is empty or holds a secret, or another step of the run uses the mark.
        """
        check_mark_text("name", name, self.redactor)
        return await self.marks.read(name)

    def lineage(
        self,
        *,
        reads: Iterable[Dataset] = (),
        writes: Iterable[Dataset] = (),
        statements: Iterable[Statement] = (),
    ) -> None:
        """Note which files and tables the step reads and writes, for the event that ends it.

        Observers such as `openlineage` pass it on. Call it as often as you like: of a dataset that is named
        again the last facts count.
        """
        self.noted_lineage.add(reads, writes, statements)

    async def run_nested_step(self, *, step_id: str, step_type: str, inputs: dict[str, Any]) -> StepResult:
        """Run another step inside this one, in the same job and attempt, and return its result."""
        inner = StepContext(
            self._services,
            job_id=self.job_id,
            step_id=f"{self.step_id}.{step_id}",
            step_type=step_type,
            attempt=self.attempt,
            effects=NestedEffects(self.effects, step_id),
            marks=self.marks,
            on_lock_wait=self._on_lock_wait,
            on_interrupt=self.on_interrupt,
        )
        inner._undo, inner.span_step, inner.noted_lineage = self._undo, self.span_step, self.noted_lineage
        try:
            return await self._services.nested_step(inner, inputs)
        finally:
            self.progress_note = inner.progress_note or self.progress_note
            await inner.release_connectors()

    def log(self, message: str, level: Level = "info") -> None:
        """Write a line to the run's log; it is masked, shown to all observers, and not stored.

        A line fails nothing: a level that does not exist is a warning, and any value is written as text.
        """
        self._announce(Notice, level=level if level in _LEVELS else "warning", message=str(message))

    say = log
    """Another name of `log`."""

    def recording_output(self) -> AbstractAsyncContextManager[None]:
        """Record what plugin code prints and logs in a block as output of the step; the engine calls it."""
        return self._services.record_output(self)

    def show_line(
        self,
        stream: Literal["stdout", "stderr"],
        text: str,
        *,
        more_bytes: int = 0,
        is_unfinished: bool = False,
    ) -> None:
        """Show a line of a program's output to the observers while it runs; it is masked and not stored.

        Args:
            stream: where the program wrote it.
            text: the line, or its beginning.
            more_bytes: how many more bytes it has.
            is_unfinished: the program will write over it, as a progress bar does: only displays show it.
        """
        self._announce(
            StepOutput,
            stream="stderr" if stream == "stderr" else "stdout",
            text=str(text),
            more_bytes=more_bytes,
            is_unfinished=is_unfinished,
        )

    def _announce(self, kind: type[E], **fields: Any) -> E:
        """Show the observers an event of this attempt, and return it."""
        event = EventFactory(self.clock, self.flow_id, self.run_id).make(
            kind,
            job_id=self.job_id,
            step_id=self.step_id,
            step_type=self.step_type,
            attempt=self.attempt,
            **fields,
        )
        self._services.announce(event)
        return event

    def progress(self, done: float, total: float | None = None, unit: str = "", note: str = "") -> None:
        """Report the progress of the step; cheap, so call it at every change, from any thread.

        Displays show it about twice a second, the log once a minute. It also sets `progress_note`.

        Args:
            done: how much is done, in units of `unit`.
            total: how much there is in all; None if unknown.
            unit: rows, bytes, files ...
            note: what the step is doing now, such as the name of a file.
        """
        # Of these types observers expect them: a number of a library may be no number for JSON.
        done, total = plain_number(done), None if total is None else plain_number(total)
        level = self._progress.level(self.clock.monotonic(), is_last=done == total)
        if level is not None:
            fields: dict[str, Any] = {"done": done, "total": total, "unit": str(unit), "note": str(note)}
            event = self._announce(StepProgress, level=level, **fields)
            self.progress_note = progress_text(event)

    @property
    def stopping(self) -> bool:
        """Whether the step must stop; a sync step checks it between pieces of work."""
        call = current_call.get() or self._last_call
        return call is not None and call.stop.is_set()

    def raise_if_stopping(self) -> None:
        """End a sync step that must stop.

        Raises:
            StepError: the step must stop (kind "cancelled").
        """
        if self.stopping:
            raise stopped()

    async def run_blocking(
        self, function: Callable[[*Args], T], *args: *Args, abandon_on_cancel: bool = False
    ) -> T:
        """Call a short blocking function in a worker thread; for long work see `run_sync`.

        A cancellation waits until a call that has begun ends; with `abandon_on_cancel` it does not wait.
        """
        refuse_coroutine_function(function)
        contained = plugin_errors_contained()(function)
        return await anyio.to_thread.run_sync(
            contained, *args, abandon_on_cancel=abandon_on_cancel, limiter=self._services.threads
        )

    async def run_sync(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Call a blocking function in a worker thread.

        When the step is cancelled, `stopping` becomes true and the function gets THREAD_STOP_SECONDS to end;
        after that its thread is abandoned and reported.
        """
        return await self._in_thread(function, args, None, self._services.threads)

    async def run_interruptible(
        self,
        function: Callable[[], T],
        interrupt: Callable[[], object],
        *,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        """Call a function that blocks in a library, such as a query, in a worker thread.

        When the step is cancelled or its time is over, `stopping` becomes true, and `interrupt` is called in
        another thread, repeatedly until the function has ended. The function gets THREAD_STOP_SECONDS, as in
        `run_sync`. An error that it raises because of the interrupt is not shown.

        Args:
            function: the function to call; bind its arguments with a lambda or `functools.partial`.
            interrupt: makes the function end, for instance closes its socket or cancels its statement; a
                `StopSwitch` is safest.
            limiter: limits how many such calls of a connector run at once; by default the limit of the run.
        """
        return await self._in_thread(function, (), interrupt, limiter or self._services.threads)

    async def _in_thread(
        self,
        function: Callable[[*Args], T],
        args: tuple[*Args],
        interrupt: Callable[[], object] | None,
        limiter: anyio.CapacityLimiter,
    ) -> T:
        refuse_coroutine_function(function)
        async with limiter:  # a call that is cancelled while it waits here never starts
            call = self._last_call = ThreadCall()
            warn = partial(self.log, level="warning")
            return await call_in_thread(function, args, call, interrupt=interrupt, warn=warn)

    def run_async(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Call a coroutine function from a sync step, or from a thread that it started.

        When the step is cancelled, the call ends with a StepError of kind "cancelled".

        Raises:
            StepError: it would wait for itself, called on the event loop (AF549), or the step must stop.
        """
        call = current_call.get() or self._last_call
        if call is None or on_loop():
            raise StepError(
                "context.run_async was called from async code",
                hint="await the coroutine; run_async is for sync steps",
                code="AF549",
            )
        return call.run_async(function, *args)
