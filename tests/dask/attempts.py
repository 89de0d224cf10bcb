"""Attempts for tests of the executor `dask`, which need no run: they answer their worker themselves."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import anyio
import msgspec

from aetherflow import Needs, Place
from aetherflow.errors import ErrorInfo
from aetherflow.execution.ports import Directories, StepCall
from aetherflow.execution.worker_messages import Accepted, Begin, End, FromWorker, Go, Reply, Request, Work

CALL = StepCall(
    step_type="check_items",
    version="1",
    inputs={},
    flow_id="f",
    run_id="r",
    job_id="j",
    step_id="s",
    attempt=1,
    execution=1,
    idempotency_key="",
    environment="",
    directories=Directories("", "", {}),
)
SECONDS = 60.0


class Attempt:
    """An attempt whose worker is refused the package of its run, so that it ends at once; or not answered."""

    def __init__(self, *, waits: bool = False, needs: Needs | None = None, package: str = "p") -> None:
        self.key = f"r/j/s/{uuid.uuid4().hex}"
        self.needs = needs or Needs()
        self.waits, self.package = waits, package
        self.place: Place | None = None
        self.begun, self.asked, self.over = anyio.Event(), anyio.Event(), anyio.Event()
        self.said: list[FromWorker] = []
        self.starts: list[str] = []
        self.reply: Callable[[bytes], None] = lambda _message: None

    def deliver(self, start: str, message: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer as an engine does."""
        said: FromWorker = msgspec.json.decode(message, type=FromWorker)
        self.said.append(said)
        self.reply = reply
        if start not in self.starts:
            self.starts.append(start)
        if isinstance(said, Begin):
            self.place = said.place
            reply(msgspec.json.encode(Go(Work(CALL, self.package))))
            self.begun.set()
        if isinstance(said, Request):
            self.asked.set()
            if not self.waits:
                self.end()
        if isinstance(said, End):
            reply(msgspec.json.encode(Accepted()))
            self.over.set()

    def end(self) -> None:
        """Let the worker end it."""
        self.reply(msgspec.json.encode(Reply(1, error=ErrorInfo("TEST", "there is no package"))))

    async def ended(self) -> None:
        """Return when the worker has answered."""
        await self.over.wait()

    @property
    def answer(self) -> End:
        """What the worker answered."""
        (answer,) = (one for one in self.said if isinstance(one, End))
        return answer


async def until(is_so: Callable[[], bool]) -> None:
    """Return when something is so."""
    with anyio.fail_after(SECONDS):
        while not is_so():  # noqa: ASYNC110 - nobody says when
            await anyio.sleep(0.02)
