"""Whatever foreign code raises, wherever it is called: its step fails with words, and nothing else suffers.

A table of places and exceptions, each tried in a real run: a job beside must succeed, the hooks must run, and
the error must have a code and a text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import anyio
import anyio.to_thread
import msgspec
import pytest

from aetherflow.admin.connection_checks import check_connections
from aetherflow.errors import ConfigError, StepError
from aetherflow.events.run_events import Notice
from aetherflow.registry import Registry
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.testing import FlowRun, run_flow

TEXT = "canary"


class Mute(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise SystemExit("no text")


class Panic(BaseException):
    """What a library written in Rust raises when it meets a bug of its own."""


def deep(levels: int = 5000) -> BaseException:
    """Return a group in a group in a group ..."""
    error: BaseException = ValueError(TEXT)
    for _ in range(levels):
        error = BaseExceptionGroup("deep", [error])
    return error


def cancel_own_task() -> BaseException:
    """Cancel the task that runs this code, if there is one, and return an exception."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is not None:
        task.cancel()
    return ValueError(TEXT)


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "GeneratorExit": lambda: GeneratorExit(TEXT),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(TEXT),
    "SystemExit": lambda: SystemExit(3),
    "CancelledError": lambda: asyncio.CancelledError(TEXT),
    "StopIteration": lambda: StopIteration(TEXT),
    "StopAsyncIteration": lambda: StopAsyncIteration(TEXT),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [Panic(TEXT), KeyboardInterrupt()]),
    "deep group": deep,
    "mute": Mute,
    "RecursionError": lambda: RecursionError(TEXT),
    "MemoryError": MemoryError,
    "panic": lambda: Panic(TEXT),
    "cancels its task": cancel_own_task,
}

raise_now: Callable[[], None]
"""What the code in the place raises; set by each test, because a connector class takes no arguments."""


def fail() -> None:
    raise_now()


class Failing(msgspec.Struct):
    value: str = ""

    def __post_init__(self) -> None:
        if self.value:  # what is under a template is known only when the step runs
            fail()


class Unwritable:
    """A value whose text cannot be read."""

    def __str__(self) -> str:
        fail()
        return ""


class Sound(Connector):
    """A connector that works; its subclasses fail in one place."""

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        del resource
        return cls()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


class FailsToOpen(Sound):
    @classmethod
    async def open(cls, resource: Resource) -> Self:
        del resource
        fail()
        return cls()


class FailsToClose(Sound):
    async def aclose(self) -> None:
        fail()


async def in_async(context: StepContext, inputs: dict[str, Any]) -> None:
    del context, inputs
    await anyio.lowlevel.checkpoint()
    fail()


async def in_task_group(context: StepContext, inputs: dict[str, Any]) -> None:
    del context, inputs
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        fail()


async def under_a_lock(context: StepContext, inputs: dict[str, Any]) -> None:
    del inputs
    async with context.lock("k"):
        fail()


async def in_an_effect(context: StepContext, inputs: dict[str, Any]) -> None:
    del inputs
    async with context.effect("e"):
        fail()


def in_sync(context: StepContext, inputs: dict[str, Any]) -> None:
    del context, inputs
    fail()


async def in_run_sync(context: StepContext, inputs: dict[str, Any]) -> None:
    del inputs
    await context.run_sync(fail)


async def in_run_blocking(context: StepContext, inputs: dict[str, Any]) -> None:
    del inputs
    await context.run_blocking(fail)


def in_run_async(context: StepContext, inputs: dict[str, Any]) -> None:
    async def called() -> None:
        await in_async(context, inputs)

    context.run_async(called)


def in_inputs(context: StepContext, inputs: Failing) -> None:
    del context, inputs


def in_outputs(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    del context, inputs
    return {"x": Unwritable()}


def in_reason(context: StepContext, inputs: dict[str, Any]) -> None:
    del context, inputs
    message: Any = Unwritable()
    raise StepError(message, detail={"x": Unwritable()})


async def opens(context: StepContext, inputs: dict[str, Any]) -> None:
    del inputs
    await context.connector("r")


STEPS: dict[str, Callable[..., Any]] = {
    "async": in_async,
    "task group": in_task_group,
    "lock": under_a_lock,
    "effect": in_an_effect,
    "sync": in_sync,
    "run_sync": in_run_sync,
    "run_blocking": in_run_blocking,
    "run_async": in_run_async,
    "inputs": in_inputs,
    "outputs": in_outputs,
    "reason": in_reason,
    "open": opens,
}

FLOW = """
version: 1
flow:
  id: f
  on_failure: [{id: after, type: check_items, inputs: {items: [x]}}]
  on_exit: [{id: last, type: check_items, inputs: {items: [x]}}]
resources:
  r: {kind: test, driver: one, CACHE}
jobs:
  - id: bad
    steps: [{id: s, type: bad, MORE}]
  - id: good
    steps: [{id: s, type: good}]
"""


@step("good")
async def good(context: StepContext, inputs: dict[str, Any]) -> None:
    """Still run while the other job fails, and open the resource as well."""
    del context, inputs
    await anyio.sleep(0.05)


@pytest.fixture(params=EXCEPTIONS)
def raised(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the foreign code of every place raise this."""
    global raise_now  # noqa: PLW0603 - see there

    def act() -> None:
        raised = EXCEPTIONS[request.param]()
        raise raised

    raise_now = act
    yield request.param
    del raise_now


async def run_of(folder: Path, bad: StepType, cls: type[Connector] = Sound, **edits: str) -> FlowRun:
    text = FLOW.replace("CACHE", edits.get("cache", "config: {}")).replace("MORE", edits.get("more", ""))
    with anyio.fail_after(20):
        return await run_flow(text, folder, steps=[bad, good], connectors={"test:one": cls})


def assert_only_the_step_failed(run: FlowRun) -> None:
    error = run.step("bad.s").error
    assert error is not None
    assert error.code.startswith("AF")
    assert error.message
    assert (run.status, run.step("good.s").status) == ("FAILED", "SUCCESS")
    assert run.step("@on_failure.after").status == run.step("@on_exit.last").status == "SUCCESS"


@pytest.mark.asyncio
@pytest.mark.parametrize("place", STEPS)
async def test_in_a_step(tmp_path: Path, raised: str, place: str) -> None:
    del raised
    cls = FailsToOpen if place == "open" else Sound

    more = "inputs: {value: '{{env.HOME}}'}" if place == "inputs" else ""  # else the check finds it

    assert_only_the_step_failed(await run_of(tmp_path, step("bad")(STEPS[place]), cls, more=more))


@pytest.mark.asyncio
@pytest.mark.parametrize("cache", ["run", "process", "none"])
async def test_closing_a_connector_is_a_warning(tmp_path: Path, raised: str, cache: str) -> None:
    run = await run_of(tmp_path, step("bad")(opens), FailsToClose, cache=f"options: {{cache: {cache}}}")

    warnings = [one.message for one in run.seen.of(Notice) if one.level == "warning"]
    assert [one for one in warnings if one.startswith("resource r could not be closed: ")], (raised, warnings)
    assert run.status == "SUCCESS"


ROOT = Path(__file__).parents[2]
AT_IMPORT = """
import sys
sys.path.insert(0, {tests!r})
from tests.execution import test_foreign_exceptions as foreign

foreign.fail()
"""
PROVIDER = """
import sys
sys.path.insert(0, {tests!r})
from tests.execution import test_foreign_exceptions as foreign

def {function}(value):
    foreign.fail()
"""


def provider(folder: Path, function: str) -> dict[str, str]:
    file = folder / "secrets_module.py"
    file.write_text(PROVIDER.format(tests=str(ROOT), function=function))
    return {"AETHERFLOW_SECRETS_PATH": str(file)}


@pytest.mark.asyncio
async def test_in_decode(tmp_path: Path, raised: str) -> None:
    del raised
    env = provider(tmp_path, "decode")
    text = FLOW.replace("CACHE", "config: {password: x}, decode: {config: {password: true}}")
    text = text.replace("MORE", "")
    run = await run_flow(
        text, tmp_path, steps=[step("bad")(opens), good], connectors={"test:one": Sound}, env=env
    )

    assert_only_the_step_failed(run)


@pytest.mark.asyncio
async def test_in_the_check_of_a_connector(tmp_path: Path, raised: str) -> None:
    class Checked(Sound):
        async def check(self) -> list[CheckResult]:
            fail()
            return []

    (tmp_path / "flow.yaml").write_text(FLOW.replace("CACHE", "config: {}").replace("MORE", ""))
    given: dict[tuple[str, str], object] = {("connector", "test:one"): Checked, ("step type", "good"): good}
    given["step type", "bad"] = step("bad")(opens)
    checked = load_checked_flow(tmp_path / "flow.yaml", {"HOME": str(tmp_path)}, given=given)

    *_, result = await anyio.to_thread.run_sync(check_connections, checked)

    assert (result.subject, result.state) == ("connect r", "error"), raised
    assert result.message


def test_at_the_import_of_a_plugin(tmp_path: Path, raised: str) -> None:
    if raised == "KeyboardInterrupt":
        pytest.skip("in the main thread under pytest it is a person's Ctrl-C; see test_plugin_output")
    file = tmp_path / "mine.py"
    file.write_text(AT_IMPORT.format(tests=str(ROOT)))
    registry = Registry((file,))

    with pytest.raises(ConfigError, match="unknown step type 'mine'"):
        registry.step_type("mine")
    (problem,) = registry.diagnostics
    assert (problem.code, problem.file) == ("AF582", str(file))


METRICS = """
import sys
sys.path.insert(0, {tests!r})
from tests.execution import test_foreign_exceptions as foreign

class Metrics:
    {decorator}
    def on_step_start(self, **ids):
        foreign.fail()

METRICS = Metrics()
"""


@pytest.mark.asyncio
@pytest.mark.parametrize("decorator", ["@property", ""], ids=["reading METRICS", "a hook"])
async def test_in_the_metrics_module(
    tmp_path: Path, raised: str, decorator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if decorator and raised == "cancels its task":
        pytest.skip("the module is read in a thread")
    name = f"metrics_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(METRICS.format(tests=str(ROOT), decorator=decorator))
    monkeypatch.syspath_prepend(tmp_path)
    env = {"AETHERFLOW_METRICS_MODULE": name}
    flow = FLOW.replace("CACHE", "config: {}").replace("type: bad, MORE", "type: good")
    running = run_flow(flow, tmp_path, steps=[good], connectors={"test:one": Sound}, env=env)

    if decorator:
        with pytest.raises(ConfigError) as failure:
            await running
        assert failure.value.code == "AF511"
        return
    run = await running
    assert run.status == "SUCCESS"
    assert run.detached["metrics"]  # also when it failed after the log was closed


@pytest.mark.asyncio
async def test_in_expand_env(tmp_path: Path, raised: str) -> None:
    if raised == "cancels its task":
        pytest.skip("the environment is built before a run has a task, or in a thread")
    with pytest.raises(ConfigError) as failure:
        await run_flow(FLOW, tmp_path, steps=[good], env=provider(tmp_path, "expand_env"))
    assert failure.value.code == "AF522"
