"""What `aetherflow doctor` says about a cluster of Dask, beside what its workers say themselves."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from aetherflow import CheckResult
from aetherflow_dask.client import EngineClient
from aetherflow_dask.options import DaskOptions

SLOW_SECONDS = 0.1
CLOCK_SECONDS = 5.0


async def checks_of(client: EngineClient, options: DaskOptions) -> list[CheckResult]:
    """Look at the scheduler: encryption, latency, clock, version, and what it does with lost tasks."""
    asked = time.perf_counter()
    before = time.time()
    found = await client.run_on_scheduler(scheduler_facts)
    seconds = time.perf_counter() - asked
    drift = found["clock"] - (before + seconds / 2)
    results = [_encryption(options)]
    results.append(
        CheckResult("latency", "warning" if seconds > SLOW_SECONDS else "ok", f"{seconds * 1000:.0f} ms")
    )
    if abs(drift) > CLOCK_SECONDS:
        results.append(
            CheckResult("clock", "warning", f"that of the scheduler differs by {drift:+.0f} s", "use NTP")
        )
    own = version("distributed")
    if found["version"] != own:
        message = f"the scheduler has Dask {found['version']}, this machine {own}"
        results.append(CheckResult("Dask", "warning", message, "install the same version everywhere"))
    if found["allowed_failures"]:
        results.append(
            CheckResult(
                "allowed-failures",
                "warning",
                f"the scheduler starts the task of a lost worker {found['allowed_failures']} times again, "
                "and the engine refuses each of them",
                "set distributed.scheduler.allowed-failures to 0 where the scheduler runs",
            )
        )
    return results


def scheduler_facts(dask_scheduler: Any = None) -> dict[str, Any]:
    """Return what the scheduler is; called there."""
    return {
        "clock": time.time(),
        "version": version("distributed"),
        "allowed_failures": dask_scheduler.allowed_failures,
    }


def _encryption(options: DaskOptions) -> CheckResult:
    if options.security is not None:
        return CheckResult("encryption", "ok", "connections are encrypted and authenticated by certificates")
    return CheckResult(
        "encryption",
        "warning",
        "connections are not encrypted, and all who reach the scheduler can run code on the workers",
        "give scheduler, workers and engine certificates: security: {ca, cert, key}",
    )
