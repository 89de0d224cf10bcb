"""The executor `dask`. Dask itself is imported when it is opened: a check of options must not pay for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec

from aetherflow import (
    CheckResult,
    ConfigError,
    Executor,
    MissingExtra,
    OpenExecutor,
    TlsFiles,
    WorkerRequest,
    run_blocking,
)
from aetherflow_dask.address_check import address_checks
from aetherflow_dask.options import DaskOptions


class DaskExecutor(Executor):
    """Runs attempts on the workers of a Dask cluster."""

    options_type = DaskOptions

    def open(
        self, options: DaskOptions, log: Callable[[str, str], None]
    ) -> AbstractAsyncContextManager[OpenExecutor]:
        """Connect to the cluster, or start one; see `Executor.open`."""
        _need_dask()
        return _opened(options, log)

    def check(self, options: DaskOptions) -> list[CheckResult]:
        """Check that Dask is installed, and who may use the cluster; see `Executor.check`."""
        _need_dask()
        return list(address_checks(options))

    def serve(self, request: WorkerRequest, log: Callable[[str, str], None]) -> int:
        """Run a worker until it is asked to stop; see `Executor.serve`."""
        _need_dask()
        from aetherflow_dask.worker_process import serve  # noqa: PLC0415 - only a worker needs it

        return serve(request, log)


@asynccontextmanager
async def _opened(options: DaskOptions, log: Callable[[str, str], None]) -> AsyncIterator[OpenExecutor]:
    if options.security is not None:
        await run_blocking(_need_certificates, options.security)
    opening = await run_blocking(import_module, "aetherflow_dask.opening")  # takes 0.3 s
    async with opening.opened(options, log) as executor:
        yield executor


def _need_certificates(files: TlsFiles) -> None:
    """Read the files once: Dask would only say that something is missing, each time that it connects.

    Raises:
        ConfigError: one cannot be read.
    """
    for name, file in msgspec.structs.asdict(files).items():
        if "-----BEGIN" in file:  # its text
            continue
        try:
            Path(file).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"security.{name} of the executor dask cannot be read: {file}: {error.strerror or error}",
                hint="name the PEM files of the cluster: security: {ca: FILE, cert: FILE, key: FILE}",
                code="AF821",
            ) from None


def _need_dask() -> None:
    for package in ("distributed", "cryptography"):
        if find_spec(package) is None:
            raise MissingExtra(
                f"the executor dask needs the package {package!r}, which is not installed",
                hint="pip install 'aetherflow[dask]'",
                code="AF888",
            )
