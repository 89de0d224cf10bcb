"""A client of Dask that reports when the scheduler is gone, and how tasks end.

Imported only when a cluster is used: it imports Dask, whose own log goes nowhere then unless its
configuration says something about logging.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import dask.config
from distributed import Client
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from aetherflow_dask.options import DaskOptions

LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "bokeh")


class EngineClient(Client):
    """A client for the event loop of the engine; it does not connect again by itself.

    Attributes:
        on_lost: called once when the connection to the scheduler has ended.
        on_done: called when a task has ended, with its key and its error, if it has one.
    """

    def __init__(
        self,
        address: str,
        options: DaskOptions,
        *,
        on_lost: Callable[[], None],
        on_done: Callable[[str, BaseException | None], None],
    ) -> None:
        self.on_lost, self.on_done = on_lost, on_done
        super().__init__(
            address,
            asynchronous=True,
            security=security_of(options),
            timeout=options.connect_within,
            set_as_default=False,
            name="aetherflow",
        )

    async def _reconnect(self) -> None:
        self.scheduler_comm = None  # Dask's own loop ends with it
        self.on_lost()

    def _handle_key_in_memory(self, key: Any = None, type: Any = None, workers: Any = None) -> None:  # noqa: A002 - Dask's name
        super()._handle_key_in_memory(key=key, type=type, workers=workers)
        self.on_done(key, None)

    def _handle_task_erred(self, key: Any = None, exception: Any = None, traceback: Any = None) -> None:
        super()._handle_task_erred(key=key, exception=exception, traceback=traceback)
        state = self.futures.get(key)
        found = None if state is None else state.exception
        self.on_done(key, found if isinstance(found, BaseException) else RuntimeError(str(found)))


def security_of(options: DaskOptions) -> Security | None:
    """Return the certificates of a cluster as Dask takes them; None: its connections are not encrypted."""
    if options.security is None:
        return None
    return Security(
        tls_ca_file=options.security.ca,
        tls_client_cert=options.security.cert,
        tls_client_key=options.security.key,
        require_encryption=True,
    )


def silence() -> None:
    """Let the log of Dask go nowhere, unless its configuration says otherwise, and expect other versions."""
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # `doctor` compares what matters
    if dask.config.get("logging", None) or dask.config.get("logging-file-config", None):
        return
    for name in LOGGERS:
        logger = logging.getLogger(name)
        for handler in [one for one in logger.handlers if type(one) is logging.StreamHandler]:
            logger.removeHandler(handler)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


silence()
