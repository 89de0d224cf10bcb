"""A process of a cluster: `python -m aetherflow_dask.child`, a scheduler or a worker.

The first line of its standard input says which, as JSON; so certificates stand neither in a file nor among
its arguments. A worker whose address was not known then gets it in a second line. It ends when its input
does, as the process that started it has ended then, or is asked to stop by SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aetherflow import TlsFiles, WorkerRequest, __version__, worker_ends

if TYPE_CHECKING:
    from distributed.security import Security

LOST_CODE = 75
"""The exit code of a worker that has lost its scheduler: it may be started again."""

UNREACHABLE_CODE = 69
"""The exit code of a worker that has never found its scheduler."""

CANNOT_START_CODE = 78
"""The exit code of a worker that cannot be what it was asked to, as its port is taken; it has said why."""

REFUSED_CODE = 1
"""The exit code of a worker that its scheduler did not take, as another one has its name. It has said why."""

QUIET_SECONDS = 3.0
"""When the scheduler is awaited for so long, a line says so."""

CLOSE_SECONDS = 20.0


class SchedulerRole(msgspec.Struct, frozen=True, tag="scheduler"):
    """Be a scheduler; its address is the first line of the output.

    Attributes:
        security: the certificates of the cluster.
        host: the address that it listens on; empty: all of this machine.
        port: 0: any that is free.
    """

    security: TlsFiles
    host: str = "127.0.0.1"
    port: int = 0


class WorkerRole(msgspec.Struct, frozen=True, tag="worker"):
    """Be a worker."""

    request: WorkerRequest


Role = SchedulerRole | WorkerRole


def main() -> int:
    """Be what standard input says, until it ends or SIGTERM comes; return the exit code."""
    role = msgspec.json.decode(sys.stdin.buffer.readline(), type=Role)
    import aetherflow_dask.client  # noqa: F401, PLC0415 - imports Dask, and silences it

    if isinstance(role, SchedulerRole):
        return asyncio.run(_scheduler(role))
    request = role.request
    if not request.address and not request.scheduler_file:
        address = sys.stdin.buffer.readline().decode().strip()
        if not address:
            return 0
        request = msgspec.structs.replace(request, address=address)
    if request.folder:
        Path(request.folder).mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = request.folder
    return asyncio.run(_worker(request))


async def _scheduler(role: SchedulerRole) -> int:
    import dask.config  # noqa: PLC0415
    from distributed import Scheduler  # noqa: PLC0415

    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.reuse-broadcast-comm": True,
        "distributed.admin.low-level-log-length": 100,
        "distributed.scheduler.http.routes": [],
    }
    with dask.config.set(settings):
        scheduler = Scheduler(
            host=role.host or None,
            port=role.port,
            protocol="tls",
            security=_security(role.security),
            dashboard=False,
            dashboard_address="127.0.0.1:0",  # not encrypted: for this machine only
        )
        await scheduler
        _say(scheduler.address)
        return await _until_asked(scheduler.finished(), scheduler.close)


def _security(tls: TlsFiles | None) -> Security | None:
    from distributed.security import Security  # noqa: PLC0415

    if tls is None:
        return None
    return Security(
        tls_ca_file=tls.ca,
        tls_scheduler_cert=tls.cert,
        tls_scheduler_key=tls.key,
        tls_worker_cert=tls.cert,
        tls_worker_key=tls.key,
        tls_client_cert=tls.cert,
        tls_client_key=tls.key,
        require_encryption=True,
    )


async def _worker(request: WorkerRequest) -> int:
    import dask.config  # noqa: PLC0415
    from distributed.comm.core import CommClosedError  # noqa: PLC0415

    from aetherflow_dask.attempts_here import attempts_of  # noqa: PLC0415

    scheduler = f"at {request.address}" if request.address else f"that writes {request.scheduler_file}"
    waiting = f"waiting for the scheduler {scheduler} (up to {request.give_up_after:g} s)"
    saying = asyncio.get_running_loop().call_later(QUIET_SECONDS, _say, waiting)
    with dask.config.set({"distributed.worker.profile.enabled": False}):
        try:
            worker = await _started(request)
        except TimeoutError:
            return UNREACHABLE_CODE
        except Exception as error:  # noqa: BLE001 - Dask raises anything; its cause says what a person can mend
            cause = _cause_of(error)
            said = str(cause) or type(cause).__name__
            if "name taken" in said:  # all that Dask says of it is this text
                said = (
                    f"the cluster has a worker called {request.name!r}: end that one, or give another --name"
                )
            print(f"error: {said}", file=sys.stderr)  # noqa: T201
            is_here = isinstance(cause, OSError) and not isinstance(cause, CommClosedError)
            return CANNOT_START_CODE if is_here else REFUSED_CODE
        finally:
            saying.cancel()
        attempts_of(worker).lost_after = request.lost_after
        attempts_of(worker).ends_with_input()
        threads = "a step" if request.threads == 1 else f"{request.threads} steps"
        offers = [*(f"label {label}" for label in request.labels)]
        offers += [f"{name}: {amount:g}" for name, amount in request.resources.items()]
        _say(
            f"{worker.name} runs {threads} at once for the scheduler at {worker.scheduler.address}; "
            f"{', '.join(offers) or 'no labels or resources'}; "
            f"AetherFlow {__version__}, Python {platform.python_version()}"
        )
        return await _until_asked(worker.finished(), worker.close)


async def _started(request: WorkerRequest) -> Any:
    """Start the worker of Dask.

    Raises:
        TimeoutError: its scheduler did not let it in in time.
        Exception: whatever Dask raises.
    """
    from distributed import Worker  # noqa: PLC0415

    from aetherflow_dask.on_worker import LABEL, PLENTY, AttemptsPlugin  # noqa: PLC0415

    resources = {name: float(amount) for name, amount in request.resources.items()}
    resources |= {f"{LABEL}{label}": PLENTY for label in request.labels}
    protocol, host, port = _listens(request)
    if request.scheduler_file:
        await _until_there(Path(request.scheduler_file), request.give_up_after)
    with warnings.catch_warnings():
        warnings.showwarning = _warn  # a host that nobody knows
        worker: Any = Worker(
            request.address or None,
            scheduler_file=request.scheduler_file or None,
            nthreads=request.threads,
            name=request.name or None,
            resources=resources,
            security=_security(request.tls),
            protocol=protocol,
            host=host,
            port=port,
            contact_address=request.contact or None,
            memory_limit=request.memory_limit or 0,
            death_timeout=request.give_up_after,
            plugins=(AttemptsPlugin(),),
        )
        await worker
    return worker


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)  # noqa: T201


async def _until_there(file: Path, seconds: float) -> None:
    """Wait for the file of the scheduler.

    Raises:
        TimeoutError: it did not come in time.
    """
    async with asyncio.timeout(seconds):
        while not file.exists():  # noqa: ASYNC110, ASYNC240 - nothing else runs in this process yet
            await asyncio.sleep(0.2)


def _cause_of(error: BaseException) -> BaseException:
    """Return what made Dask say that a worker failed to start."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _listens(request: WorkerRequest) -> tuple[str | None, str | None, int | None]:
    """Return the protocol, host and port that a worker listens on; None: what Dask chooses."""
    protocol, _, place = request.listen.rpartition("://")
    host, _, port = place.rpartition(":")
    if not host:
        host = "127.0.0.1" if "//127.0.0.1:" in request.address else ""
    return protocol or None, host or None, int(port) if port.isdigit() else None


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the process that started this one reads it


async def _until_asked(finished: Awaitable[Any], close: Any) -> int:
    """Wait until it has ended by itself, SIGTERM or SIGINT asks it to, or standard input ends."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    threading.Thread(target=_end_with_input, daemon=True).start()
    ended = asyncio.ensure_future(finished)
    stop = asyncio.ensure_future(asked.wait())
    await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not asked.is_set():
        return LOST_CODE
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
    return 0


def _end_with_input() -> None:
    """End this process at once with its input; its guardian ends the programs of its steps."""
    while sys.stdin.buffer.readline():
        pass
    worker_ends()
    os._exit(0)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    worker_ends()
    os._exit(code)  # threads of steps that do not end must not keep it
