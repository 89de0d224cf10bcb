"""The step `with_lock`: run another step while holding a named lock."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.flow import PositiveSeconds, Seconds


class InnerStepInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The step that runs under the lock.

    Attributes:
        type: what it does.
        id: how it is named in the log.
        inputs: what its type takes.
    """

    type: str
    id: str = "locked"
    inputs: dict[str, Any] = {}


class WithLockInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of `with_lock`.

    Attributes:
        lock_key: the name of the lock; flows that share a state database share their locks.
        ttl_seconds: how long the lease outlives a holder that died on another host; it is renewed meanwhile.
        wait_seconds: how long to wait for a lock that another holds; 0 fails at once.
        step: what to run.
    """

    lock_key: Annotated[str, Meta(min_length=1)]
    step: InnerStepInput
    ttl_seconds: PositiveSeconds = 600
    wait_seconds: Seconds = 0


@step("with_lock", placement="coordinator", contains="step")
async def with_lock(context: StepContext, inputs: WithLockInput) -> StepResult:
    """Run a step while holding a named lock; its outputs are those of the step."""
    inner = inputs.step
    async with context.lock(
        inputs.lock_key, ttl_seconds=inputs.ttl_seconds, wait_seconds=inputs.wait_seconds
    ):
        return await context.run_nested_step(step_id=inner.id, step_type=inner.type, inputs=inner.inputs)
