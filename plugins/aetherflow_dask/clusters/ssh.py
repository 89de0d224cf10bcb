"""A cluster of workers that are started over SSH. The scheduler runs beside the engine.

A worker gets its certificate by its standard input, so none is on a disk of its host. When the connection
ends, its standard input does, and it ends too: also when the engine was killed.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import msgspec

from aetherflow import ExecutorError, TlsFiles, one_error
from aetherflow_dask.certificates import temporary
from aetherflow_dask.child import SchedulerRole
from aetherflow_dask.clusters.options import SshOptions
from aetherflow_dask.clusters.scheduler import own_scheduler
from aetherflow_dask.clusters.worker_command import Log, Started, WorkerCommand, said_by_worker

CONNECT_SECONDS = 30.0
"""How long a host may take to let us in."""

END_SECONDS = 15.0
"""How long the workers may take to end in order before their connections are cut."""

CANNOT_START = {2, 126, 127}
"""The exit codes of a wrong option or setting, and those of a shell that finds no program."""

_HOST = re.compile(
    r"(?:(?P<user>[^@]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@]+|[0-9A-Fa-f:.%]{3,})(?::(?P<port>\d+))?$"
)


class Host(msgspec.Struct, frozen=True):
    """A host where a worker is started.

    Attributes:
        host: its name or address.
        name: the name of the worker.
        user: whom to log in as; empty: what the configuration of SSH says.
        port: of its sshd; 0: likewise.
    """

    host: str
    name: str
    user: str = ""
    port: int = 0


def hosts_of(options: SshOptions) -> Iterator[Host]:
    """Yield the hosts of the options; the second worker of a host is called `HOST-2`.

    Raises:
        ExecutorError: an entry cannot be read.
    """
    seen: Counter[str] = Counter()
    for entry in options.hosts:
        match = _HOST.match(entry)
        if match is None:
            raise ExecutorError(
                f"{entry!r} is no host for a worker", hint="write HOST, or USER@HOST:PORT", code="AF834"
            )
        host = match["host"].strip("[]")
        seen[host] += 1
        name = host if seen[host] == 1 else f"{host}-{seen[host]}"
        yield Host(host, name, match["user"] or options.user, int(match["port"] or 0))


@asynccontextmanager
async def ssh_cluster(
    options: SshOptions, workers: WorkerCommand, tls: TlsFiles | None, log: Log
) -> AsyncIterator[Started]:
    """Run a scheduler here and a worker on each host for the length of a block.

    Args:
        options: the hosts, and how to log in.
        workers: what the workers have in common.
        tls: the certificates; None: new ones, for this cluster alone.
        log: shows what the workers say.

    Raises:
        ExecutorError: a host cannot be reached, or its worker does not start.
    """
    hosts = list(hosts_of(options))
    tls = tls or temporary()
    is_local = options.scheduler_host in ("localhost", "127.0.0.1", "::1")
    role = SchedulerRole(tls, options.scheduler_host if is_local else "", options.scheduler_port or 0)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(own_scheduler(role))
        connections = await _connect_all(stack, hosts, options)
        programs = []
        for host, connection in zip(hosts, connections, strict=True):
            scheduler = _address_for(connection, address, options)
            programs.append(await _start(host, connection, scheduler, options, workers, tls))
        await stack.enter_async_context(_followed(hosts, programs, log))
        yield address, tls


async def _connect_all(stack: AsyncExitStack, hosts: list[Host], options: SshOptions) -> list[Any]:
    """Connect to all hosts at once; the stack closes the connections.

    Raises:
        ExecutorError: one cannot be reached; of several, it is the first.
    """
    found: dict[int, Any] = {}
    failed: dict[int, ExecutorError] = {}

    async def connect(number: int, host: Host) -> None:
        try:
            found[number] = await _connect(host, options)
        except ExecutorError as error:
            failed[number] = error

    try:
        async with anyio.create_task_group() as tasks:
            for number, host in enumerate(hosts):
                tasks.start_soon(connect, number, host)
    finally:
        for connection in found.values():
            stack.push_async_callback(connection.wait_closed)
            stack.callback(connection.close)
    if failed:
        raise failed[min(failed)]
    return [found[number] for number in range(len(hosts))]


def _login(host: Host, options: SshOptions) -> dict[str, Any]:
    """Return what asyncssh is to know of a host beside `~/.ssh/config`."""
    more: dict[str, Any] = {"keepalive_interval": 10, "keepalive_count_max": 3}
    if host.user:
        more["username"] = host.user
    if host.port:
        more["port"] = host.port
    if options.key:
        more["client_keys"] = [str(Path(options.key).expanduser())]
    if options.known_hosts:
        more["known_hosts"] = str(Path(options.known_hosts).expanduser())
    return more


async def _connect(host: Host, options: SshOptions) -> Any:
    """Return a connection to a host.

    Raises:
        ExecutorError: it cannot be reached, is another one, or does not let us in.
    """
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            return await asyncssh.connect(host.host, **_login(host, options))
    except asyncssh.HostKeyNotVerifiable as error:
        why = str(error)
        hint = f"look at it by hand once: ssh {host.host}; its key must be in known_hosts"
    except asyncssh.PermissionDenied as error:
        why, hint = str(error), "the login must need no password: give the user a key (`key`, or an agent)"
    except TimeoutError:
        why, hint = f"no answer within {CONNECT_SECONDS:g} s", "check host, port and firewall"
    except (OSError, asyncssh.Error, asyncssh.KeyImportError) as error:
        why, hint = str(error), "check host, port and key"
    raise ExecutorError(f"no worker on {host.host}: SSH: {why}", hint=hint, code="AF834")


def _address_for(connection: Any, address: str, options: SshOptions) -> str:
    """Return the address by which a host reaches the scheduler."""
    here = options.scheduler_host or connection.get_extra_info("sockname")[0]
    place = f"[{here}]" if ":" in here else here
    return f"{address.partition('://')[0]}://{place}:{address.rpartition(':')[2]}"


async def _start(
    host: Host, connection: Any, scheduler: str, options: SshOptions, workers: WorkerCommand, tls: TlsFiles
) -> Any:
    """Start a worker, and return its program.

    Raises:
        ExecutorError: the host refuses to start programs.
    """
    words = workers.held(scheduler, host.name, project=options.project)
    try:
        program = await connection.create_process(
            f"exec {options.command} {shlex.join(words)}", stderr=asyncssh.STDOUT, errors="replace"
        )
    except (OSError, asyncssh.Error) as error:
        raise ExecutorError(
            f"no worker on {host.host}: it cannot be started: {error}",
            hint="the user must be allowed to run programs",
            code="AF834",
        ) from None
    program.stdin.write(msgspec.json.encode(tls).decode() + "\n")
    return program


@asynccontextmanager
async def _followed(hosts: list[Host], programs: list[Any], log: Log) -> AsyncIterator[None]:
    """Show what the workers say for the length of a block, and end them with it."""
    is_over = anyio.Event()

    async def follow(host: Host, program: Any) -> None:
        text = ""
        while line := await program.stdout.readline():
            level, text = said_by_worker(line)
            log(level, f"{host.name}: {text}")
        code = (await program.wait()).exit_status
        if is_over.is_set():
            return
        if code in CANNOT_START:
            raise ExecutorError(
                f"the worker on {host.host} does not start: {text or f'exit code {code}'}",
                hint="`command` names the aetherflow of that host, which must be the same version as here",
                code="AF834",
            )
        log("warning", f"{host.name}: the worker has ended with exit code {code}")

    async with one_error() as tasks:
        for host, program in zip(hosts, programs, strict=True):
            tasks.start_soon(follow, host, program)
        try:
            yield
        finally:
            is_over.set()
            with anyio.move_on_after(END_SECONDS, shield=True):
                for program in programs:
                    program.stdin.write_eof()
                for program in programs:
                    await program.wait_closed()
            tasks.cancel_scope.cancel()
