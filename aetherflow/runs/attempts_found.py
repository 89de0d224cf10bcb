"""Find the attempts of a run that is resumed which workers still have, and end those that do not go on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from aetherflow.engine.attempt_keys import AttemptInFlight, attempts_in_flight
from aetherflow.engine.state import RunState, step_entry
from aetherflow.sdk.executor import OpenExecutor

Found = Mapping[tuple[str, str], AttemptInFlight]
"""The attempts that workers still have, by job id and step id."""


async def find_attempts(executors: Mapping[str, OpenExecutor], state: RunState) -> Found:
    """Return the attempts of a run that workers of these executors still have.

    Args:
        executors: by the names that `StepStarted` calls them by.
        state: of the run, before it is resumed.
    """
    sought = attempts_in_flight(state)
    keys: dict[str, list[str]] = defaultdict(list)
    for attempt in sought.values():
        keys[attempt.executor].append(attempt.key)
    here = {key for name in keys if name in executors for key in await executors[name].find(keys[name])}
    return {step: attempt for step, attempt in sought.items() if attempt.key in here}


async def end_others(
    executors: Mapping[str, OpenExecutor], found: Found, reattached: Collection[str]
) -> list[str]:
    """End the attempts that were found and do not go on; return their steps, as `job.step`.

    `reattached` are those that do, as `RunResumed` has them.
    """
    from aetherflow.execution.refused_attempts import refuse_attempts  # noqa: PLC0415 - hardly ever

    ended = {step: one for step, one in found.items() if step_entry(*step) not in reattached}
    for name in {one.executor for one in ended.values()}:
        await refuse_attempts(executors[name], [one.key for one in ended.values() if one.executor == name])
    return [".".join(step) for step in ended]
