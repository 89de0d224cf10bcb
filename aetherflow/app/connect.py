"""`doctor --connect`: open every resource of a flow, ask how it is, close it."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread

from aetherflow.app.examine import Examination, resolve
from aetherflow.app.finding import Finding
from aetherflow.engine.connector_pool import opened
from aetherflow.engine.shared_connectors import close
from aetherflow.errors import AetherFlowError
from aetherflow.foreign import ends_us

CONNECT_SECONDS = 30.0
"""How long a resource may take to open and to say how it is."""

GRACE_SECONDS = 5.0
"""How long a resource that was too slow is waited for, before its thread is left behind."""

AT_ONCE = 16


def try_resources(examined: Examination) -> list[Finding]:
    """Try all resources of a flow at the same time, each bounded by a time."""
    return anyio.run(_try_all, examined)


async def _try_all(examined: Examination) -> list[Finding]:
    found: dict[str, list[Finding]] = {}
    turns = anyio.CapacityLimiter(AT_ONCE)

    async def try_one(name: str) -> None:
        async with turns:
            found[name] = await _bounded(examined, name)

    async with anyio.create_task_group() as tasks:
        for name in examined.plan.resources:
            tasks.start_soon(try_one, name)
    return [finding for name in examined.plan.resources for finding in found[name]]


class _Trial:
    """How far the trial of a resource has come, and what it heard meanwhile."""

    def __init__(self) -> None:
        self.is_resolved = False
        self.warnings: list[str] = []


async def _bounded(examined: Examination, name: str) -> list[Finding]:
    """Try one resource in a thread and a loop of its own: a library that blocks holds up nobody else."""
    trial = _Trial()
    work = partial(anyio.run, _try, examined, name, trial)
    with anyio.move_on_after(CONNECT_SECONDS + GRACE_SECONDS):
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    return [_too_slow(examined, name, trial)]


async def _try(examined: Examination, name: str, trial: _Trial) -> list[Finding]:
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            findings = await _checked(examined, name, trial)
    except TimeoutError:
        findings = [_too_slow(examined, name, trial)]
    except AetherFlowError as error:
        findings = [Finding(f"connect {name}", "error", f"[{error.code}] {error.message}", error.hint)]
    except BaseException as error:  # whatever a connector raises says how the other side is
        if ends_us(error):
            raise
        findings = [Finding(f"connect {name}", "error", f"{type(error).__name__}: {error}")]
    findings = [Finding(f"connect {name}", "warning", warning) for warning in trial.warnings] + findings
    mask = examined.redactor.text
    return [Finding(one.subject, one.state, mask(one.message), mask(one.hint)) for one in findings]


async def _checked(examined: Examination, name: str, trial: _Trial) -> list[Finding]:
    resource = await anyio.to_thread.run_sync(
        partial(resolve, examined, name, warn=trial.warnings.append), abandon_on_cancel=True
    )
    trial.is_resolved = True
    cls = examined.registry.connector_class(f"{resource.kind}:{resource.driver}")
    connector = await opened(cls, resource)
    try:
        checks = await connector.check()
    finally:
        trial.warnings += [problem.message for problem in await close(name, connector)]
    return [Finding(f"connect {name}", one.state, f"{one.name}: {one.message}", one.hint) for one in checks]


def _too_slow(examined: Examination, name: str, trial: _Trial) -> Finding:
    if trial.is_resolved:
        message, hint = f"it did not answer within {CONNECT_SECONDS:g} s", "check host, port and firewall"
    else:
        provider = examined.environment.secrets
        message = f"its secrets did not come within {CONNECT_SECONDS:g} s"
        hint = f"look at decode of {provider.source.origin}" if provider else "look at where they come from"
    return Finding(f"connect {name}", "error", message, hint)
