"""One attempt that runs on a worker, as the engine sees it: what the worker says and asks, and how it ended.

What a worker sends is data that may be wrong: what is no message, or comes when it must not, is refused and
reported, and never ends anything but this attempt. All methods are called on the event loop of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from aetherflow.errors import AttemptLost, ErrorInfo, StepError
from aetherflow.execution.described_error import DescribedError
from aetherflow.execution.ports import show
from aetherflow.execution.worker_files import WorkerFiles
from aetherflow.execution.worker_messages import (
    Accepted,
    Answer,
    Begin,
    End,
    FromEngine,
    FromWorker,
    Go,
    Refuse,
    Request,
    Stop,
    Undo,
    Work,
)
from aetherflow.execution.worker_questions import WorkerQuestions, unreadable
from aetherflow.plugin_errors import text_of
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Needs, Place, Send
from aetherflow.sdk.json_values import as_text
from aetherflow.sdk.step import StepResult

MOST_REPORTS = 20
"""How many wrong messages of an attempt are reported, and how many refused results are recorded."""

UNKNOWN = Place("", "")
"""Stands for a worker that has never asked whether it may begin."""

Report = Callable[[str, str], None]
"""Shows a warning, given as its text and its code."""


class WorkerError(DescribedError):
    """How an attempt on a worker failed, as the worker described it; the traceback there is a note."""

    def __init__(self, info: ErrorInfo, trace: str = "") -> None:
        super().__init__(info)
        if trace:
            self.add_note(f"On the worker:\n{trace}")


class _Phase(Enum):
    WAITS = auto()
    """No start has begun."""
    RUNS = auto()
    """A start was let in."""
    ENDED = auto()
    """It is known how that start ended."""
    SETTLED = auto()
    """The worker knows that its answer counts, or that it must undo what it left."""
    GIVEN_UP = auto()
    """It was lost or cancelled; nothing that comes counts."""
    LEFT = auto()
    """The next process of the engine takes it over; this one says nothing more."""


class _Start(msgspec.Struct, frozen=True):
    """The start that was let in."""

    id: str
    place: Place
    reply: Send


class _Unfit(msgspec.Struct):
    """What can be read of a message that does not fit: which kind it is, and the number of a question."""

    type: str = ""
    id: int = 0


class WorkerAttempt:
    """Implements `ExecutorAttempt`.

    Attributes:
        key: the fencing token of the attempt.
        needs: what its worker must offer.
        finished: set when it is known how the attempt ended.
        is_stopping: whether it was asked to stop.
    """

    def __init__(
        self,
        work: Work,
        context: StepContext,
        *,
        needs: Needs,
        package_text: Callable[[str], str],
        files: WorkerFiles,
        report: Report,
    ) -> None:
        """Prepare an attempt.

        Args:
            work: what its worker gets; its call has the key.
            context: what the worker says and asks is said and asked in its name.
            needs: what its worker must offer.
            package_text: returns the package of a run by its id.
            files: answers what the worker asks about files.
            report: shows what was wrong with a message.
        """
        self.key = work.call.key
        self.needs = needs
        self.finished = anyio.Event()
        self.is_stopping = False
        self._call = work.call
        self._go: Go | None = Go(work)
        self._context = context
        self._files = files
        self._questions = WorkerQuestions(
            context,
            package_text,
            files,
            send=self._send,
            wrong=self._wrong,
            on_lost_lock=self._lose_lock,
        )
        self._show_report = report
        self._reports = 0
        self._not_let_in: dict[str, Place] = {}
        self._refused: set[str] = set()
        self._phase = _Phase.WAITS
        self._start: _Start | None = None
        self._verdict: FromEngine | None = None
        self._settled = anyio.Event()
        self._answer = Answer()
        self._error: StepError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its worker has said how it ended."""
        return self._phase in {_Phase.ENDED, _Phase.SETTLED}

    @property
    def must_wait(self) -> bool:
        """Whether the worker waits until it is known whether its answer counts."""
        return self._answer.must_wait

    async def ended(self) -> None:
        """Return when the worker needs nothing more of the engine."""
        await self._settled.wait()

    async def follow(self) -> None:
        """Answer the questions of the worker until it is known how the attempt ended; release its locks."""
        await self._questions.answer_until(self.finished)

    async def result(self) -> StepResult:
        """Return what the attempt returned, if it is `finished`; its files get their names.

        It is a checkpoint if there is no result: an attempt that was cancelled has none.

        Raises:
            WorkerError: it failed on the worker.
            AttemptLost: nobody knows how it ended.
            StepError: the engine ended it: it lost a lock, or cannot be run; or a file cannot get its name.
        """
        answer, context = self._answer, self._context
        context.progress_note = answer.progress_note or context.progress_note
        noted = answer.lineage
        context.lineage(reads=noted.reads, writes=noted.writes, statements=noted.statements)
        if self._error is not None:
            raise self._error
        if answer.error is not None:
            await self._accept_files_of_failed()
            raise WorkerError(answer.error, answer.trace)
        if answer.result is None:
            await anyio.lowlevel.checkpoint_if_cancelled()
            why = answer.stopped or "the engine did not ask it to, and it does not say why"
            raise AttemptLost(
                f"the worker {self.where} has stopped the attempt: {why}",
                hint="see the log of the worker; `retry_on: [lost]` makes another attempt",
                code="AF801",
            )
        await self._files.accept()
        return answer.result

    async def _accept_files_of_failed(self) -> None:
        """Give the files of a failed step their names, as it would have left them in this process."""
        try:
            await self._files.accept()
        except StepError as error:  # its own error is the one that counts
            self.report(f"files of the failed step are lost: {error.message}", error.code)

    def leave(self) -> None:
        """Leave the attempt to the next process of the engine."""
        if self._phase in {_Phase.WAITS, _Phase.RUNS, _Phase.ENDED}:
            self._phase = _Phase.LEFT
            self.finished.set()

    async def close(self) -> None:
        """Give up the attempt if it has not ended; no file gets its name from now on. Call it in any case."""
        if self._phase in {_Phase.WAITS, _Phase.RUNS}:
            self._phase = _Phase.GIVEN_UP
        if self._phase is _Phase.LEFT:
            await self._files.leave()
        else:
            await self._files.close()

    def stop(self, why: str) -> None:
        """Ask the worker to end the attempt; one that has not begun is finished.

        One that an earlier engine had begun is asked when its worker has been heard of.
        """
        self.is_stopping = True
        if self._phase is _Phase.RUNS:
            self._send(Stop(why))
        elif self._phase is _Phase.WAITS and not self._call.is_reattached:
            self._phase = _Phase.GIVEN_UP
            self.finished.set()

    def fail(self, error: StepError) -> None:
        """Take note that the executor does not know how the attempt ended, or cannot run it."""
        if self._phase in {_Phase.WAITS, _Phase.RUNS}:
            self._error = error
            self._phase = _Phase.GIVEN_UP
            self.finished.set()

    def accept(self) -> None:
        """Let the worker forget the attempt: its end is stored."""
        self._settle(Accepted())

    async def undo(self) -> None:
        """Let the worker undo what the attempt left: it failed after its end."""
        self._settle(Undo())

    def deliver(self, start: str, message: bytes, reply: Send) -> None:
        """Take a message of a worker; see `ExecutorAttempt`."""
        if self._phase is _Phase.LEFT:
            return
        decoded = self._decode(start, message)
        if decoded is None:
            return
        is_ours = self._start is not None and self._start.id == start
        match decoded:
            case Begin():
                self._begin(start, decoded, reply)
            case _ if not is_ours or self._phase is _Phase.GIVEN_UP:
                self._refuse(start, decoded, reply)
            case End(answer):
                self._end(answer)
            case _ if self._phase is not _Phase.RUNS:
                self._wrong(f"sent a {_name(decoded)} message after its end")
            case Request(number, ask):
                self._questions.ask(number, ask)
            case _:
                self._show(decoded)

    def _decode(self, start: str, message: bytes) -> FromWorker | None:
        """Return a message, or None if it is none; who waits for an answer gets an error then."""
        try:
            decoded: FromWorker = msgspec.json.decode(message, type=FromWorker)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            why = f"sent what is no message: {text_of(problem)}"
        else:
            return decoded
        self._wrong(why)
        if self._start is None or self._start.id != start or self._phase is not _Phase.RUNS:
            return None
        try:
            unfit = msgspec.json.decode(message, type=_Unfit)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None  # reported above; nothing of it can be read
        failure = unreadable(f"the worker {self.where} {why}").info()
        if unfit.type == "end":
            self._end(Answer(error=failure))
        elif unfit.type == "request":
            self._questions.refuse(unfit.id, failure)
        return None

    def _begin(self, start: str, begin: Begin, reply: Send) -> None:
        known = self._start
        if known is not None and known.id == start:
            if self._phase is _Phase.RUNS:
                self._start = _Start(start, begin.place, reply)  # its connection may be another one now
                self._let_go()
                return
            if self._verdict is not None:
                _send_to(reply, self._verdict)
                return
        why = self._why_not(begin)
        if why:
            if len(self._not_let_in) < MOST_REPORTS:
                self._not_let_in[start] = begin.place
            _send_to(reply, Refuse(why))
            return
        self._start, self._phase = _Start(start, begin.place, reply), _Phase.RUNS
        self._context.on_placed(begin.place.worker, begin.place.host)
        self._let_go()

    def _let_go(self) -> None:
        if self._go is not None:
            self._send(self._go)
        if self.is_stopping:
            self._send(Stop())

    def _why_not(self, begin: Begin) -> str:
        """Return why a start must not begin or go on; empty: it may."""
        if self._phase is _Phase.GIVEN_UP or (self.is_stopping and not self._call.is_reattached):
            return "the attempt does not count any more"
        if self._start is not None:
            return f"another start of the attempt was let in, on {self.where}"
        if self._call.is_reattached and not begin.has_begun:
            return "another start of the attempt has begun already"
        if begin.has_begun and not self._call.is_reattached:
            return "this engine has not let it begin"
        return ""

    def _refuse(self, start: str, message: FromWorker, reply: Send) -> None:
        """Refuse what a start sends that does not count."""
        if isinstance(message, End):
            self._note_refused(start)
        _send_to(reply, Refuse("the attempt does not count any more"))

    def _note_refused(self, start: str) -> None:
        """Record, once, that a start has sent a result that does not count."""
        if start in self._refused or len(self._refused) >= MOST_REPORTS:
            return
        self._refused.add(start)
        known, place, why = self._start, self._not_let_in.get(start, UNKNOWN), "the attempt was given up"
        if known is not None and known.id == start:
            place = known.place
        elif known is not None:
            why = f"another start of the attempt was let in, on {self.where}"
        elif self._phase is _Phase.WAITS:
            why = "it was not let begin"
        if self._phase is _Phase.GIVEN_UP and self._error is not None:
            why = f"the attempt was given up: {self._error.message}"
        self._context.on_refused(place.worker, place.host, self._context.redactor.text(why))

    def _end(self, answer: Answer) -> None:
        """Take the answer, once; a worker repeats it until it knows that it was read."""
        if self._phase is _Phase.RUNS:
            self._answer, self._phase = answer, _Phase.ENDED
            self.finished.set()
        elif self._verdict is not None:
            self._send(self._verdict)

    def _settle(self, verdict: Accepted | Undo) -> None:
        if self._phase is _Phase.ENDED:
            self._phase, self._verdict = _Phase.SETTLED, verdict
            self._send(verdict)
            self._go, self._answer = None, Answer()  # they may be large, and the attempt may be kept
            self._settled.set()

    def _show(self, message: Any) -> None:
        try:
            show(message, self._context)
        except Exception as error:  # noqa: BLE001 - reported; what a worker says fails no run
            self._wrong(f"sent a {_name(message)} message that cannot be shown: {text_of(error)}")

    def _lose_lock(self, info: ErrorInfo) -> None:
        """Stop the attempt, which has lost a lock."""
        self._error = self._error or WorkerError(info)
        self.stop(info.message)

    @property
    def where(self) -> str:
        """Name the worker of the start that was let in, and its host."""
        if self._start is None:
            return "(unknown)"
        return f"{self._start.place.worker} ({self._start.place.host})"

    def _send(self, message: FromEngine) -> None:
        """Send a message to the start that was let in."""
        if self._start is not None:
            _send_to(self._start.reply, message)

    def _wrong(self, what: str) -> None:
        self.report(f"a worker that runs {self._context.job_id}.{self._context.step_id} {what}", "AF884")

    def report(self, message: str, code: str) -> None:
        """Show a warning about the attempt."""
        if self._reports < MOST_REPORTS:
            self._reports += 1
            self._show_report(self._context.redactor.text(message), code)


def _send_to(reply: Send, message: FromEngine) -> None:
    reply(msgspec.json.encode(message, enc_hook=as_text))


def _name(message: FromWorker) -> str:
    return str(type(message).__struct_config__.tag)
