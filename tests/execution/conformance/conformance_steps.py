"""Steps that show what a step may expect wherever it runs: a plugin file, which workers load too."""

from __future__ import annotations

import logging
import sys
import threading
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self

import anyio
import msgspec

from aetherflow import (
    Connector,
    Dataset,
    Mark,
    Resource,
    Skipped,
    StepContext,
    StepError,
    StepResult,
    connector,
    step,
)

SECRET = "canary-12345"  # noqa: S105 - the canary of the suite


def note(path: str, line: str) -> None:
    """Append a line to a file: what a step did, for the test to see."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


class Out(msgspec.Struct):
    """Outputs of a step, one of which JSON does not know."""

    day: date
    rows: list[int]


@step("c_give")
async def give(context: StepContext, inputs: dict[str, Any]) -> Out:
    """Return outputs."""
    del context
    return Out(date(2026, 1, 2), [inputs["n"], 2])


@step("c_take")
def take(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs."""
    del context
    return {"got": inputs, "size": len(str(inputs))}


@step("c_who")
async def who(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Say who it is, in the second attempt."""
    if context.attempt == 1:
        raise StepError("again", kind="connection")
    names = ("flow_id", "run_id", "job_id", "step_id", "step_type", "attempt", "execution")
    facts = {name: getattr(context, name) for name in names}
    return {**facts, "key": context.idempotency_key, "home": context.env["HOME"], **inputs}


@step("c_idle")
async def idle(context: StepContext, inputs: dict[str, Any]) -> Any:
    """Find nothing to do."""
    del context, inputs
    return Skipped("no rows", {"rows": 0})


@step("c_fail")
async def fail(context: StepContext, inputs: dict[str, Any]) -> Any:
    """Fail in a way that the inputs name."""
    del context
    match inputs["how"]:
        case "step":
            raise StepError("no host", kind="connection", code="AF799", hint="look", detail={"port": 1})
        case "value":
            raise ValueError("broken")
        case "exit":
            sys.exit(3)
        case "panic":
            raise BaseException("a panic")  # noqa: TRY002 - what foreign code does
        case _:
            return ["a list"]


@step("c_talk")
def talk(context: StepContext, inputs: dict[str, Any]) -> None:
    """Say something in every way, in this order."""
    del inputs
    context.log("one")
    context.say("two", "warning")
    context.show_line("stdout", "out")
    context.show_line("stderr", "err", more_bytes=7)
    context.show_line("stdout", "50 %", is_unfinished=True)
    context.progress(1, 3, "files", "a.csv")
    context.progress(3, 3, "files")


@step("c_print")
def print_lines(context: StepContext, inputs: dict[str, Any]) -> None:
    """Print and log, in this thread and in another one."""
    del context, inputs
    print("printed")  # noqa: T201 - what is shown
    print("to stderr", file=sys.stderr)  # noqa: T201 - what is shown
    logging.getLogger("far").warning("logged")
    thread = threading.Thread(target=print, args=("printed in a thread",))
    thread.start()
    thread.join()


@step("c_leak")
async def leak(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Show a secret in every way."""
    context.log(f"log {SECRET}")
    context.show_line("stdout", f"line {SECRET}")
    print(f"print {SECRET}")  # noqa: T201 - what is shown
    context.progress_note = f"note {SECRET}"
    if context.attempt == 1:
        raise StepError(f"error {SECRET}", detail={"d": SECRET}, hint=SECRET)
    return {"got": inputs["password"], "own": [SECRET]}


@step("c_wait")
async def wait(context: StepContext, inputs: dict[str, Any]) -> None:
    """Wait until it is asked to stop."""
    context.progress_note = "3 of 9 files"
    context.log("begun")
    try:
        await anyio.sleep_forever()
    finally:
        note(inputs["trace"], "stopped")


@step("c_wait_sync")
def wait_sync(context: StepContext, inputs: dict[str, Any]) -> None:
    """Wait until it is asked to stop, in a thread."""
    context.progress_note = "3 of 9 files"
    context.log("begun")
    while not context.stopping:
        time.sleep(0.005)
    note(inputs["trace"], "stopped")
    context.raise_if_stopping()


@step("c_big")
async def big(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a large output."""
    del context
    return {"big": "x" * inputs["size"]}


@step("c_write")
def write(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Write files; in the first attempt fail in the middle of one."""
    (context.scratch / "made.txt").write_text("x")
    with context.writing(context.path("whole.txt")) as temporary:
        temporary.write_text(f"attempt {context.attempt}")
    with context.writing(context.path("cut.txt")) as temporary:
        temporary.write_text("half")
        if context.attempt < inputs["good"]:
            raise StepError("in the middle", kind="connection")
    return {"path": str(context.path("whole.txt"))}


@step("c_escape")
async def escape(context: StepContext, inputs: dict[str, Any]) -> None:
    """Write outside of its folder."""
    context.path(inputs["path"]).write_text("x")


@step("c_effect")
async def effect(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Make two changes; the first attempt dies in the second one."""
    earlier = {key: one.is_confirmed for key, one in context.earlier_effects.items()}
    for name in ("a", "b"):
        async with context.effect(f"upload {name}", detail={"file": name}) as upload:
            if upload.done:
                continue
            note(inputs["trace"], name)
            upload.result = {"bytes": 3}
            if name == "b" and context.attempt == 1:
                raise StepError("cut off", kind="connection")
    return {"earlier": earlier}


@step("c_mark")
async def move_mark(context: StepContext, inputs: dict[str, Any]) -> StepResult:
    """Move a mark by one."""
    del inputs
    before = await context.mark("orders")
    value = Decimal("10.50") if before is None else Decimal(before.text) + 1
    return StepResult(outputs={"before": before and before.text}, marks={"orders": Mark.of(value)})


@step("c_lock")
async def lock(context: StepContext, inputs: dict[str, Any]) -> None:
    """Work under a lock, of which `note` shows how long it is held."""
    async with context.lock("shelf", ttl_seconds=60, wait_seconds=60):
        note(inputs["trace"], f"{context.job_id} in")
        for _ in range(5):
            await anyio.sleep(0.01)
        note(inputs["trace"], f"{context.job_id} out")


@step("c_undo")
async def leave_something(context: StepContext, inputs: dict[str, Any]) -> None:
    """Succeed, and undo that if it does not count."""

    async def undo() -> None:
        note(inputs["trace"], "undone")

    context.undo_if_failed(undo)
    if inputs.get("fails"):
        raise StepError("it failed itself")


@step("c_lineage")
async def trace_data(context: StepContext, inputs: dict[str, Any]) -> None:
    """Note what it reads and writes."""
    del inputs
    context.lineage(reads=[Dataset("file", "/in.csv", rows=3)], writes=[Dataset("db", "t.orders")])


@step("c_trace")
async def trace(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of its trace, and what else it knows of the run."""
    del inputs
    return {"trace": dict(context.trace_variables), "run_date": context.run_date}


class ShelfConfig(msgspec.Struct):
    """Where a shelf is."""

    path: str


@connector("shelf:folder")
class Shelf(Connector):
    """A folder."""

    config_type: ClassVar[type[ShelfConfig]] = ShelfConfig

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open it."""
        path = resource.config_as(ShelfConfig).path
        note(path, "open")
        return cls(path)

    async def aclose(self) -> None:
        """Close it."""
        note(self.path, "close")


@step("c_connect")
async def connect(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """Use a connector."""
    del inputs
    shelf: Any = await context.connector("shelf")
    note(shelf.path, "used")
    return {"known": [context.has_resource("shelf"), context.has_resource("other")]}
