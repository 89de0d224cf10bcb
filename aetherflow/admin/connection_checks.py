"""Check the resources of a flow for `doctor --connect`: open each, call its `check`, close it."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from msgspec.structs import asdict

from aetherflow.errors import AetherFlowError, StepError
from aetherflow.event_loop import run_loop
from aetherflow.execution.connector_pool import open_connector
from aetherflow.execution.shared_connectors import close
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.plugin_output import held_back
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.resolved_resource import resolve
from aetherflow.sdk.blocking import run_blocking
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.step_failure import describe

CONNECT_SECONDS = 30.0
"""How long a resource may take to open and to run its check."""

GRACE_SECONDS = 5.0
"""How much longer to wait for a slow resource before its thread is abandoned."""

AT_ONCE = 16


def check_connections(checked: CheckedFlow) -> list[CheckResult]:
    """Check all resources of a flow at the same time, each with a time limit."""
    return run_loop(_check_all, checked)


async def _check_all(checked: CheckedFlow) -> list[CheckResult]:
    found: dict[str, list[CheckResult]] = {}
    turns = anyio.CapacityLimiter(AT_ONCE)

    async def check_one(name: str) -> None:
        async with turns:
            found[name] = await _check_in_time(checked, name)

    async with anyio.create_task_group() as tasks:
        for name in checked.plan.resources:
            tasks.start_soon(check_one, name)
    return [result for name in checked.plan.resources for result in found[name]]


class _Trial(msgspec.Struct, eq=False):
    """The progress of checking one resource, and the warnings so far."""

    is_resolved: bool = False
    warnings: list[str] = []


async def _check_in_time(checked: CheckedFlow, name: str) -> list[CheckResult]:
    """Check one resource in its own thread and event loop, so a blocking library delays no other check."""
    trial = _Trial()
    work = partial(anyio.run, _check_one, checked, name, trial)
    try:
        with anyio.move_on_after(CONNECT_SECONDS + GRACE_SECONDS):
            return await run_blocking(work, limiter=anyio.CapacityLimiter(1))
    except StepError as error:  # the connector ended its event loop
        return [CheckResult(f"connect {name}", "error", checked.redactor.text(error.message), error.hint)]
    return [_too_slow(checked, name, trial)]


async def _check_one(checked: CheckedFlow, name: str, trial: _Trial) -> list[CheckResult]:
    try:
        with held_back(checked.redactor), anyio.fail_after(CONNECT_SECONDS):
            results = await _open_and_check(checked, name, trial)
    except TimeoutError:
        results = [_too_slow(checked, name, trial)]
    except AetherFlowError as error:
        results = [CheckResult(f"connect {name}", "error", f"[{error.code}] {error.message}", error.hint)]
    except BaseException as error:  # anything that a connector raises is a failed check
        if is_our_cancellation(error):
            raise
        results = [CheckResult(f"connect {name}", "error", describe(error).message)]
    results = [CheckResult(f"connect {name}", "warning", warning) for warning in trial.warnings] + results
    mask = checked.redactor.text
    return [CheckResult(one.subject, one.state, mask(one.message), mask(one.hint)) for one in results]


async def _open_and_check(checked: CheckedFlow, name: str, trial: _Trial) -> list[CheckResult]:
    resource = await anyio.to_thread.run_sync(
        partial(resolve, checked, name, warn=trial.warnings.append),
        abandon_on_cancel=True,
        limiter=anyio.CapacityLimiter(1),
    )
    trial.is_resolved = True
    cls = checked.registry.connector_class(f"{resource.kind}:{resource.driver}")
    connector = await open_connector(cls, resource)
    try:
        checks = _check_results(await connector.check(), f"{resource.kind}:{resource.driver}")
    finally:
        trial.warnings += [problem.message for problem in await close(name, connector)]
    return [
        CheckResult(f"connect {name}", one.state, f"{one.subject}: {one.message}", one.hint) for one in checks
    ]


def _check_results(returned: Any, connector: str) -> list[CheckResult]:
    """Return what the `check` of a connector returned, if that is what it has to return.

    Raises:
        StepError: it is not.
    """
    try:
        return msgspec.convert([asdict(one) for one in returned], list[CheckResult])
    except (TypeError, msgspec.ValidationError):
        raise StepError(
            f"check() of the connector {connector} returned {type(returned).__name__}, "
            "not a list of CheckResult with texts and a state ok, warning or error",
            hint="write: return [CheckResult(subject, state, message)]",
            code="AF753",
        ) from None


def _too_slow(checked: CheckedFlow, name: str, trial: _Trial) -> CheckResult:
    if trial.is_resolved:
        message, hint = f"it did not answer within {CONNECT_SECONDS:g} s", "check host, port and firewall"
    else:
        provider = checked.environment.secrets
        message = f"its secrets did not come within {CONNECT_SECONDS:g} s"
        hint = f"look at decode of {provider.source.origin}" if provider else "look at where they come from"
    return CheckResult(f"connect {name}", "error", message, hint)
