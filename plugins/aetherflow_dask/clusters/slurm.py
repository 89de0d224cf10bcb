"""A cluster of workers that are jobs of Slurm, by dask-jobqueue, with a scheduler beside the engine.

A job has the command line of a worker, so its certificate is in files that only this user can read, in a
folder that the machines share. When the engine dies, the workers find no scheduler, and their jobs end.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
from distributed.security import Security
from distributed.utils import get_ip

from aetherflow import ConfigError, ExecutorError, MissingExtra, TlsFiles, run_blocking
from aetherflow_dask.certificates import temporary
from aetherflow_dask.child import SchedulerRole
from aetherflow_dask.clusters.options import SlurmOptions
from aetherflow_dask.clusters.scheduler import own_scheduler
from aetherflow_dask.clusters.worker_command import Log, Started, WorkerCommand

CANCEL_SECONDS = 30.0
"""How long it may take to cancel the jobs; those that are left end when they find no scheduler."""

REMOVE_SECONDS = 10.0
"""How long the removal of the certificates may take: the shared folder may hang."""

GIVE_UP_SECONDS = 60
"""Without the scheduler for so long, a worker ends, and with it its job."""


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a job of Slurm is made from.

    Attributes:
        name: of the job and its worker.
        address: of the scheduler.
        tls: the paths of the certificates.
    """

    name: str
    address: str
    tls: TlsFiles
    options: SlurmOptions
    workers: WorkerCommand


def slurm_job(order: JobOrder) -> Any:
    """Return the job of a worker as dask-jobqueue makes it; nothing is submitted.

    Raises:
        MissingExtra: dask-jobqueue is not installed.
        ConfigError: it does not take the options.
    """
    options, workers = order.options, order.workers
    more = workers.options(project=options.project or str(Path.cwd()))
    try:
        return _library().SLURMJob(
            order.address,
            name=order.name,
            job_name=order.name,
            queue=options.queue or None,
            account=options.account or None,
            walltime=options.walltime or None,
            cores=workers.threads,
            job_cpu=options.cpus,
            memory=options.memory,
            processes=1,
            security=_security(order.tls),
            death_timeout=GIVE_UP_SECONDS,
            worker_command="aetherflow worker",
            worker_extra_args=[shlex.quote(word) for word in more],
            job_extra_directives=options.directives,
            job_script_prologue=options.prologue,
            log_directory=options.log_folder or None,
            python=shlex.quote(options.python or sys.executable),
        )
    except ValueError as error:
        raise ConfigError(f"the options of slurm cannot be used: {error}", code="AF835") from None


def _security(files: TlsFiles) -> Security:
    return Security(
        tls_ca_file=files.ca, tls_worker_cert=files.cert, tls_worker_key=files.key, require_encryption=True
    )


_importing = threading.Lock()


@contextmanager
def _signals_as_they_are() -> Iterator[None]:
    """Let this thread change no handler of signals: dask-jobqueue does when it is imported.

    It takes Ctrl-C from the engine then, and in a thread that is not the main one its import fails.
    """
    here = threading.get_ident()
    with _importing:
        module: Any = signal
        set_handler = module.signal

        def unless_here(number: Any, handler: Any) -> Any:
            return None if threading.get_ident() == here else set_handler(number, handler)

        module.signal = unless_here
        try:
            yield
        finally:
            module.signal = set_handler


def _library() -> Any:
    """Import the module of dask-jobqueue with the jobs of Slurm.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        with _signals_as_they_are():
            return import_module("dask_jobqueue.slurm")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"cluster: slurm needs the package {error.name!r}, which is not installed",
            hint="pip install 'aetherflow[slurm]'",
        ) from None


@asynccontextmanager
async def slurm_cluster(
    options: SlurmOptions, number: int, workers: WorkerCommand, tls: TlsFiles | None, log: Log
) -> AsyncIterator[Started]:
    """Run a scheduler here and submit the jobs of the workers for the length of a block.

    Args:
        options: what the jobs are like.
        number: how many.
        workers: what they have in common.
        tls: the certificates; None: new ones, for this cluster alone.
        log: shows the numbers of the jobs.

    Raises:
        ConfigError: the options cannot be used.
        ExecutorError: Slurm does not take a job.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "cluster: slurm: there is no program sbatch here",
            hint="start the engine where you submit jobs to Slurm",
            code="AF835",
        )
    await run_blocking(_library)  # its import takes a while
    given, tls = tls, tls or temporary()
    host = options.scheduler_host or get_ip()
    async with (
        _files(given, tls, Path(options.shared_folder)) as files,
        own_scheduler(SchedulerRole(tls, "", options.scheduler_port or 0)) as address,
    ):
        seen = f"{address.partition('://')[0]}://{host}:{address.rpartition(':')[2]}"
        stem = f"aetherflow-{address.rpartition(':')[2]}"
        orders = [
            JobOrder(name=f"{stem}-{one}", address=seen, tls=files, options=options, workers=workers)
            for one in range(1, number + 1)
        ]
        async with _submitted(orders, log):
            yield address, tls


@asynccontextmanager
async def _files(given: TlsFiles | None, tls: TlsFiles, shared_folder: Path) -> AsyncIterator[TlsFiles]:
    """Yield the paths of the certificates; those that are texts are in files for the length of the block.

    Raises:
        ConfigError: the shared folder cannot be written.
    """
    if given is not None:
        yield given
        return
    try:
        made = await run_blocking(_written, tls, shared_folder)
    except OSError as error:
        raise ConfigError(
            f"shared_folder of slurm cannot be written: {shared_folder}: {error.strerror or error}",
            code="AF835",
        ) from None
    try:
        yield TlsFiles(**{name: str(path) for name, path in _paths(made).items()})
    finally:
        with anyio.move_on_after(REMOVE_SECONDS, shield=True):
            await run_blocking(made.cleanup)


def _written(tls: TlsFiles, folder: Path) -> TemporaryDirectory[str]:
    """Write certificates below a folder, which may be slow, as other machines see it too.

    Raises:
        OSError: it cannot be written.
    """
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    made = TemporaryDirectory(prefix=".aetherflow-cluster-", dir=folder)  # only this user can enter it
    try:
        for name, path in _paths(made).items():
            path.touch(mode=0o600)
            path.write_text(getattr(tls, name))
    except OSError:
        made.cleanup()
        raise
    return made


def _paths(made: TemporaryDirectory[str]) -> dict[str, Path]:
    return {name: Path(made.name) / f"{name}.pem" for name in ("ca", "cert", "key")}


@asynccontextmanager
async def _submitted(orders: list[JobOrder], log: Log) -> AsyncIterator[None]:
    """Submit jobs, and cancel them at the end of the block.

    Raises:
        ExecutorError: Slurm does not take one.
    """
    jobs = []
    try:
        for order in orders:
            job = slurm_job(order)
            await _submit(job, order)
            jobs.append(job)
            log("info", f"{order.name}: submitted to Slurm as job {job.job_id}")
        yield
    finally:
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):
            for job in jobs:
                await job.close()


async def _submit(job: Any, order: JobOrder) -> None:
    try:
        await job.start()
    except (RuntimeError, ValueError, OSError) as error:
        said = str(error).rstrip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise ExecutorError(
            f"Slurm does not take the job {order.name}: {said}",
            hint="the job is submitted with sbatch; try it by hand with these options: srun",
            code="AF836",
        ) from None
