"""How long a run, its jobs and its steps usually take; who makes the live tree looks that up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec


class ExpectedTimes(msgspec.Struct, frozen=True):
    """How long earlier runs of a flow took that succeeded, in seconds.

    Attributes:
        run: the whole run; None if that is unknown.
        jobs: by job; no instances.
        steps: by `job.step`; none of instances.
    """

    run: float | None = None
    jobs: Mapping[str, float] = {}
    steps: Mapping[str, float] = {}


LookUpTimes = Callable[[str, str, str], ExpectedTimes]
"""Returns the times of a flow, given the path of the state database, the id of the flow, and the only job
that runs, if one was selected. Called in a thread of its own; it does not raise."""
