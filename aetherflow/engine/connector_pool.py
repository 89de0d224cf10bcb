"""The open connectors of one run: each opened at its first use, all closed at the end."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread

from aetherflow.engine.connector import Connector, Resource
from aetherflow.errors import AetherFlowError, ErrorInfo, StepError

CLOSE_SECONDS = 10.0
"""How long the end of a run waits for a connector to close."""


class ConnectorPool:
    """Opens connectors on demand; two steps that ask at once get the same one."""

    def __init__(
        self, resolve: Callable[[str], Resource], connector_class: Callable[[str], type[Connector]]
    ) -> None:
        """Take what gives a resource by its name, and a class by `kind:driver`."""
        self._resolve = resolve
        self._connector_class = connector_class
        self._open: dict[str, Connector] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def get(self, name: str) -> Connector:
        """Return the open connector of a resource.

        Raises:
            AetherFlowError: it is not declared, or cannot be opened; the resource is named.
        """
        async with self._locks.setdefault(name, anyio.Lock()):
            if name not in self._open:
                # A secrets provider may ask a vault, a connector imports its library: not on the loop.
                cls, resource = await anyio.to_thread.run_sync(self._prepared, name, abandon_on_cancel=True)
                self._open[name] = await _opened(cls, resource)
            return self._open[name]

    def _prepared(self, name: str) -> tuple[type[Connector], Resource]:
        resource = self._resolve(name)
        return self._connector_class(f"{resource.kind}:{resource.driver}"), resource

    async def aclose(self) -> list[ErrorInfo]:
        """Close all; return what went wrong, for nobody can act on it any more but a reader of the log."""
        problems: list[ErrorInfo] = []
        for name, connector in reversed(self._open.items()):
            try:
                with anyio.fail_after(CLOSE_SECONDS, shield=True):
                    await connector.aclose()
            except Exception as error:  # noqa: BLE001 - told, and the other connectors are closed all the same
                message = f"resource {name} could not be closed: {_said(error)}"
                problems.append(ErrorInfo(code="AF703", message=message))
        self._open.clear()
        return problems


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _opened(cls: type[Connector], resource: Resource) -> Connector:
    try:
        return await cls.open(resource)
    except AetherFlowError:
        raise
    except Exception as error:
        raise StepError(
            f"resource {resource.name} ({resource.kind}:{resource.driver}) cannot be opened: {_said(error)}",
            hint="check its config and options, and that the other side answers",
            kind="connection",
            code="AF704",
        ) from error
