"""The observer `openlineage`: sends the run events of a run, to a server or into a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport import Transport, get_default_factory

from aetherflow import ConfigError, ObservedRun, Outbox
from aetherflow_openlineage.library_log import quiet
from aetherflow_openlineage.run_events import LineageEvents, Parent
from aetherflow_openlineage.transport_config import transport_config

RETRY = {"total": 2}
"""How often an event is sent again, unless the configuration says it: the default of the client takes 9 s."""


class OpenLineageObserver:
    """Sends the events of one execution of a run.

    Args:
        run: the run.

    Raises:
        ConfigError: nothing says where events go, or a file with the configuration cannot be read.
    """

    def __init__(self, run: ObservedRun) -> None:
        config = transport_config(run.env, Path.cwd())
        namespace = run.env.get("OPENLINEAGE_NAMESPACE", "").strip() or "default"
        self._events = LineageEvents(namespace, _outer(run.env.get("OPENLINEAGE_PARENT_ID", "")))
        self._transport: Transport | None = None
        self._outbox: Outbox[RunEvent] | None = None
        self._has_warned = False
        if config is not None:
            self._transport, place = _transport(config)
            self._outbox = Outbox(partial(_emit, self._transport), place=place)

    def take(self, records: Sequence[Mapping[str, Any]]) -> str | None:
        """Send the events of these records."""
        for record in records:
            self._send(self._events.take(record))
        if self._outbox is not None and self._outbox.lost and not self._has_warned:
            self._has_warned = True
            return f"OpenLineage events are lost: {self._outbox.place}: {self._outbox.reason}"
        return None

    def close(self, deadline_seconds: float) -> str | None:
        """Send what is left."""
        if self._outbox is None or self._transport is None:
            return None
        end = time.monotonic() + deadline_seconds
        self._send(self._events.left())
        self._outbox.finish(end)
        self._transport.close(max(end - time.monotonic(), 0))
        return self._outbox.loss("events") or None

    def _send(self, events: Sequence[RunEvent]) -> None:
        if self._outbox is not None and events:
            self._outbox.put(events)


def _emit(transport: Transport, batch: Sequence[RunEvent], note: Callable[[str], None], /) -> bool:
    """Send events by a transport of the client; return whether they have arrived."""
    for event in batch:
        try:
            with quiet():
                transport.emit(event)
        except Exception as error:  # noqa: BLE001 - each transport raises errors of its own library
            note(_reason(error))
            return False
    return True


def _transport(config: dict[str, Any]) -> tuple[Transport, str]:
    """Return the transport of a configuration, and where it sends to.

    Raises:
        ConfigError: the client refuses it.
    """
    kind = config["type"]
    if kind == "http":
        config = {"retry": RETRY, **config}
    place = str(config.get("url") or config.get("log_file_path") or f"the transport {kind}")
    try:
        with quiet():
            return get_default_factory().create(config), place
    except Exception as error:  # each transport refuses its configuration in its own way
        raise ConfigError(
            f"the OpenLineage transport {kind!r} cannot be used: {error}",
            hint="correct openlineage.yml, or the variables OPENLINEAGE_...",
        ) from error


def _outer(text: str) -> Parent | None:
    """Return the run that `OPENLINEAGE_PARENT_ID` names, as `namespace/job/run id`."""
    namespace, slash, rest = text.strip().partition("/")
    name, _, run_id = rest.rpartition("/")
    try:
        return Parent(namespace, name, str(UUID(run_id))) if slash and name else None
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    """Return why, in few words: of a chain of exceptions the innermost."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{error}" or type(error).__name__
