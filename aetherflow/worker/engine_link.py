"""The messages of one attempt to the engine, and the answers to its questions."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import msgspec

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution.worker_messages import Ask, FromWorker, Reply, Request
from aetherflow.sdk.executor import Send
from aetherflow.sdk.json_values import as_text


class EngineError(StepError):
    """What the engine answered to a question: an error, as it is."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message, hint=info.hint, code=info.code, kind=info.kind, detail=info.detail)
        self._info = info

    def info(self) -> ErrorInfo:
        """Return the error as the engine described it."""
        return self._info


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
            raise StepError("the engine did not answer, as the attempt was ended", kind="cancelled")
        if self.reply.error is not None:
            raise EngineError(self.reply.error)
        return self.reply.value


class EngineLink:
    """Sends what an attempt says, in order; asks what only the engine knows. For any thread."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = threading.RLock()  # a carrier may pass an answer on at once
        self._changing = threading.Lock()
        self._open: dict[int, _Question] = {}
        self._locks: dict[int, Request] = {}
        self._last = 0
        self.is_closed = False

    def say(self, message: FromWorker) -> None:
        """Send a message."""
        data = msgspec.json.encode(message, enc_hook=as_text)
        with self._sending:
            self._send(data)

    def request(self, ask: Ask) -> Request:
        """Return a question with the next number; nothing is sent."""
        with self._changing:
            self._last += 1
            return Request(self._last, ask)

    async def ask(self, ask: Ask | Request) -> Any:
        """Ask the engine; return its answer, as plain JSON. Only on the event loop of the attempt.

        Raises:
            EngineError: the engine answered with an error.
            StepError: the attempt was ended.
        """
        request = ask if isinstance(ask, Request) else self.request(ask)
        answered = anyio.Event()
        question = _Question(request, answered)
        if self._put(question):
            try:
                await answered.wait()
            finally:
                self._remove(question)
        return question.value

    def ask_and_block(self, ask: Ask) -> Any:
        """Ask the engine in a thread, or in code that may not await; see `ask`.

        It waits until `close`: the answer comes through another thread.
        """
        answered = threading.Event()
        question = _Question(self.request(ask), answered)
        if self._put(question):
            answered.wait()
            self._remove(question)
        return question.value

    def take(self, reply: Reply) -> None:
        """Pass an answer to who asked; on the event loop of the attempt."""
        with self._changing:
            question = self._open.get(reply.id)
        if question is not None:  # else it was asked by something that has been cancelled
            question.reply = reply
            question.answered.set()

    def take_for_thread(self, reply: Reply) -> bool:
        """Pass an answer to a thread that asked, if one did; the event loop may wait for it too."""
        with self._changing:
            question = self._open.get(reply.id)
        if question is None or not isinstance(question.answered, threading.Event):
            return False
        self.take(reply)
        return True

    def hold(self, lock: Request) -> None:
        """Remember a lock that the engine holds for this attempt."""
        with self._changing:
            self._locks[lock.id] = lock

    def drop(self, lock: Request) -> None:
        """Forget a lock that is not needed any more."""
        with self._changing:
            self._locks.pop(lock.id, None)

    def send_to(self, send: Send) -> None:
        """Send to another engine from now on."""
        with self._sending:
            self._send = send

    def ask_again(self) -> None:
        """Send all that waits for an answer, and the locks that are held, to an engine that took over."""
        with self._changing:
            known = {number: question.request for number, question in self._open.items()} | self._locks
        for _, request in sorted(known.items()):
            self.say(request)

    def close(self) -> None:
        """Let no thread wait for an answer any more, as none comes; tasks are cancelled by the attempt."""
        with self._changing:
            self.is_closed = True
            waiting = [one.answered for one in self._open.values()]
        for answered in waiting:
            if isinstance(answered, threading.Event):
                answered.set()

    def _put(self, question: _Question) -> bool:
        with self._changing:
            if self.is_closed:
                return False
            self._open[question.request.id] = question
        self.say(question.request)
        return True

    def _remove(self, question: _Question) -> None:
        with self._changing:
            self._open.pop(question.request.id, None)
