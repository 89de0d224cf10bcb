"""The messages of one attempt to the engine, and the answers to its questions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.described_error import DescribedError
from aetherflow.execution.worker_messages import Ask, Begin, End, FromWorker, Reply, Request, TakeLock
from aetherflow.sdk.executor import Send
from aetherflow.sdk.json_values import as_text, escaped

UNANSWERED_SECONDS = 3600.0
"""How long an attempt waits for an engine: that may have died, and the run may not be resumed at once."""


class EngineError(DescribedError):
    """What the engine answered to a question: an error, as it is."""


class _Question:
    """A question, and what wakes who waits for the answer: a task of the event loop, or a thread."""

    def __init__(self, request: Request, answered: anyio.Event | threading.Event) -> None:
        self.request = request
        self.answered = answered
        self.reply: Reply | None = None

    @property
    def value(self) -> Any:
        """The answer of the engine.

        Raises:
            EngineError: it is an error.
            StepError: there is none, as the attempt was ended.
        """
        if self.reply is None:
            raise _unanswered()
        if self.reply.error is not None:
            raise EngineError(self.reply.error)
        return self.reply.value


class EngineLink:
    """Sends what an attempt says, in order; asks what only the engine knows. For any thread."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.RLock()  # a carrier may pass an answer on at once, while something is sent
        self._open: dict[int, _Question] = {}
        self._locks: dict[int, Request] = {}
        self._last = 0
        self._joins = self._has_ended = False
        self.is_closed = False

    def say(self, message: FromWorker) -> None:
        """Send a message; nothing follows an End.

        While the attempt joins another engine, that gets a Request or an End when it has said Go.
        """
        with self._lock:
            if self._has_ended and not isinstance(message, Begin | End):
                return
            self._has_ended = self._has_ended or isinstance(message, End)
            if not (self._joins and isinstance(message, Request | End)):
                self._send(_encoded(message))

    async def ask(self, ask: Ask, noted: Callable[[int], object] = int) -> Any:
        """Ask the engine; return its answer, as plain JSON. Only on the event loop of the attempt.

        Args:
            ask: what to ask.
            noted: called with the number of the question when it is asked.

        Raises:
            EngineError: the engine answered with an error.
            StepError: the attempt was ended, or no engine answers.
        """
        answered = anyio.Event()
        question = self._asked(ask, answered)
        if question is None:
            raise _unanswered()
        noted(question.request.id)
        with anyio.move_on_after(_longest(ask)) as waiting:
            try:
                await answered.wait()
            finally:
                self._remove(question)
        if waiting.cancelled_caught:
            raise _nobody_answers()
        return question.value

    def ask_and_block(self, ask: Ask) -> Any:
        """Ask the engine in a thread, or in code that may not await; see `ask`.

        It waits until `close` at most: the answer comes through another thread.
        """
        answered = threading.Event()
        question = self._asked(ask, answered)
        if question is None:
            raise _unanswered()
        is_over = answered.wait(_longest(ask))
        self._remove(question)
        if not is_over:
            raise _nobody_answers()
        return question.value

    def take(self, reply: Reply) -> None:
        """Pass an answer to who asked; on the event loop of the attempt.

        Raises:
            EngineError: another engine could not take a lock that this attempt holds.
        """
        with self._lock:
            question, lock = self._open.get(reply.id), self._locks.get(reply.id)
        if question is not None:  # else it was asked by something that has been cancelled
            question.reply = reply
            question.answered.set()
        elif lock is not None and reply.error is not None:
            raise EngineError(reply.error)

    def take_for_thread(self, reply: Reply) -> bool:
        """Pass an answer to a thread that asked, if one did; the event loop may wait for it too."""
        with self._lock:
            question = self._open.get(reply.id)
        if question is None or not isinstance(question.answered, threading.Event):
            return False
        self.take(reply)
        return True

    def released(self, lock: int) -> None:
        """Forget a lock, named by the number of the question that took it."""
        with self._lock:
            self._locks.pop(lock, None)

    def join(self, send: Send, begin: Begin) -> None:
        """Send to another engine from now on, and ask it whether the attempt counts."""
        with self._lock:
            self._send, self._joins = send, True
            self.say(begin)

    def joined(self) -> bool:
        """Return whether the attempt was joining an engine that has said Go; it gets the open questions."""
        with self._lock:
            if not self._joins:
                return False
            self._joins = False
            known = {number: question.request for number, question in self._open.items()} | self._locks
            for _, request in sorted(known.items()):
                self.say(request)
            return True

    def close(self) -> None:
        """Let no thread wait for an answer any more, as none comes; tasks are cancelled by the attempt."""
        with self._lock:
            self.is_closed = True
            waiting = [one.answered for one in self._open.values()]
        for answered in waiting:
            if isinstance(answered, threading.Event):
                answered.set()

    def _asked(self, ask: Ask, answered: anyio.Event | threading.Event) -> _Question | None:
        """Send a question, numbers in the order of sending; None if nobody would answer it."""
        with self._lock:
            if self.is_closed or self._has_ended:
                return None
            self._last += 1
            question = _Question(Request(self._last, ask), answered)
            self._open[self._last] = question
            if isinstance(ask, TakeLock):
                self._locks[self._last] = question.request
            self.say(question.request)
            return question

    def _remove(self, question: _Question) -> None:
        with self._lock:
            self._open.pop(question.request.id, None)


def _encoded(message: FromWorker) -> bytes:
    """Return a message as JSON; what is no UTF-8 in a text, such as a part of a file name, is escaped."""
    try:
        return msgspec.json.encode(message, enc_hook=as_text)
    except UnicodeEncodeError:
        return msgspec.json.encode(escaped(msgspec.to_builtins(message, enc_hook=as_text)))


def _longest(ask: Ask) -> float:
    """Return how long the answer to a question may take, in seconds."""
    return UNANSWERED_SECONDS + (ask.wait_seconds if isinstance(ask, TakeLock) else 0)


def _nobody_answers() -> StepError:
    message = f"no engine has answered for {UNANSWERED_SECONDS:g} s; the run was not resumed"
    return StepError(message, kind="cancelled")


def _unanswered() -> StepError:
    return StepError("the engine does not answer, as the attempt was ended", kind="cancelled")
