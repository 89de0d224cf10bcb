"""What an observer of an installed package must be: it gets the records of a run and passes them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class ObservedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run for which an observer is made.

    Attributes:
        flow_id: the flow.
        run_id: the run; it may have been executed before, by this process or another one.
        env: the environment snapshot of the run; use it instead of `os.environ`.
    """

    flow_id: str
    run_id: str
    env: Mapping[str, str]


class EventObserver(Protocol):
    """Watches one execution of a run.

    A class of this shape is registered in the entry point group `aetherflow.observers`; it is called with an
    `ObservedRun`. An observer that has an attribute `takes_output` that is true also gets the lines that
    programs print (`step_output`).

    The calls come from a worker thread, one after the other, in the order of the events. They may block: then
    events wait, up to 10,000 of them, and what comes meanwhile is lost and reported. If a method raises, the
    observer is not called again, that is reported, and the run continues.
    """

    def take(self, records: Sequence[Mapping[str, Any]]) -> str | None:
        """Take the next records of events (`aetherflow.event/1`), in which secrets are masked.

        Returns:
            A warning for the log of the run, or None.
        """
        ...

    def close(self, deadline_seconds: float) -> str | None:
        """Pass on what is left, and return before the deadline; the end of the run waits for it.

        Returns:
            What was lost, and why, or None; it is reported at the end of the run.
        """
        ...
