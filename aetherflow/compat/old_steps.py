"""Adapt steps of AetherFlow 0.0.x: a sync class, one instance per attempt, run in a worker thread."""

from __future__ import annotations

import abc
import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

import aetherflow
from aetherflow import StepContext, one_error, step_names
from aetherflow.compat.run_context import RunContext
from aetherflow.compat.run_locks import HeldLocks

STEP_SUCCESS = "SUCCESS"
STEP_SKIPPED = "SKIPPED"

_CLASSES: dict[str, type[Any]] = {}


@dataclass
class StepResult:
    """How a step ended; `outputs` is another name of `output`."""

    status: str = STEP_SUCCESS
    output: dict[str, Any] | None = None
    reason: str | None = None
    outputs: dict[str, Any] | None = None

    def as_output(self) -> dict[str, Any]:
        """Return the outputs, the reason among them."""
        merged = {**(self.outputs or {}), **(self.output or {})}
        if self.reason:
            merged.setdefault("reason", self.reason)
        return merged


class Step(abc.ABC):
    """Base of the steps of the old kind."""

    required_inputs: ClassVar[set[str]] = set()

    def __init__(
        self,
        step_id: str | None = None,
        inputs: dict[str, Any] | None = None,
        ctx: Any = None,
        job_id: str = "",
        *,
        id: str | None = None,  # noqa: A002 - some plugins name it so
    ) -> None:
        self.id = step_id if id is None else id
        self.inputs: dict[str, Any] = {} if inputs is None else inputs
        self.ctx = ctx
        self.job_id = job_id

    def validate(self) -> None:
        """Refuse to continue without a required input.

        Raises:
            ValueError: names those that are missing.
        """
        missing = sorted(self.required_inputs - self.inputs.keys())
        if missing:
            raise ValueError(f"step {self.id} needs the inputs {', '.join(missing)}")

    @abc.abstractmethod
    def run(self) -> Any:
        """Do the work; return the outputs, or a StepResult."""


def register_step(name: str, cls: type[Any] | None = None) -> Any:
    """Register a class as a step type; without the class, return the decorator that does."""

    def register(cls: type[Any]) -> type[Any]:
        async def run(context: StepContext, inputs: dict[str, Any]) -> Any:
            return await _run(cls, context, inputs)

        run.__doc__ = cls.__doc__
        aetherflow.step(name, placement="coordinator")(run)
        _CLASSES[name] = cls
        return cls

    return register if cls is None else register(cls)


def get_step(name: str) -> type[Any]:
    """Return the class that a plugin of the old kind registered.

    Raises:
        KeyError: there is none.
    """
    return _CLASSES[name]


def list_steps() -> list[str]:
    """Return the names of all step types."""
    return step_names()


async def _run(cls: type[Any], context: StepContext, inputs: dict[str, Any]) -> Any:
    """Run a step in a worker thread; release the locks that it still holds when it ends."""
    async with one_error() as tasks:
        locks = HeldLocks(context, tasks)
        try:
            return await context.run_sync(_call, cls, context, inputs, RunContext(context, locks))
        finally:
            tasks.cancel_scope.cancel()
            if locks.failure is not None:
                raise locks.failure


def _call(cls: type[Any], context: StepContext, inputs: dict[str, Any], ctx: RunContext) -> Any:
    made = _create(cls, context, inputs, ctx)
    returned = made.run(ctx, inputs) if inspect.signature(made.run).parameters else made.run()
    if isinstance(returned, StepResult):
        status: Any = returned.status
        return aetherflow.StepResult(status, returned.as_output(), returned.reason or "")
    return {} if returned is None else returned


def _create(cls: type[Any], context: StepContext, inputs: dict[str, Any], ctx: RunContext) -> Any:
    if inspect.signature(cls).parameters:
        return cls(context.step_id, inputs, ctx, context.job_id)
    made = cls()  # a class without a base gets the attributes that the base would have
    made.id, made.inputs, made.ctx, made.job_id = context.step_id, inputs, ctx, context.job_id
    return made
