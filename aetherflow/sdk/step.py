"""Step types: a function or class with typed inputs, what it declares, and what it may return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

StepFunction = Callable[..., Any]
Placement = Literal["coordinator", "anywhere"]
"""Where a step may run: in the process that executes the run, or also in another, on another host."""


Visibility = Literal["process list", "mail subject"]
"""Where others can see an input: `ps` shows command lines, every mail server on the way logs subjects."""


class StepResult(msgspec.Struct, frozen=True):
    """How a step ended: SUCCESS or SKIPPED (a valid outcome: there was nothing to do), and its outputs."""

    status: Literal["SUCCESS", "SKIPPED"] = "SUCCESS"
    outputs: dict[str, Any] = {}
    reason: str = ""


def Skipped(reason: str, outputs: dict[str, Any] | None = None) -> StepResult:  # noqa: N802 - reads as an outcome
    """Return the result of a step that found nothing to do."""
    return StepResult(status="SKIPPED", outputs=outputs or {}, reason=reason)


class StepType(msgspec.Struct, frozen=True):
    """A registered step type; called, it does what the function or class that it was made of does.

    Attributes:
        name: what `type:` in a flow says.
        run: `(context, inputs) -> outputs`, async, or sync (then called in a worker thread). Returns a
            StepResult, a Struct, a mapping or None.
        input_type: Struct that the rendered inputs are converted to; `dict` accepts anything.
        output_type: Struct of the outputs, for the documentation; `dict` where it is open.
        summary: the first line of the docstring.
        contains: "step": its input `step` is a step that it runs: {type, inputs}.
        visible: inputs that others can see, and where: a secret in them is a warning of `validate`.
        program_inputs: inputs that a program gets, `command` first: `${VAR}` in them may be for a shell.
        placement: coordinator for a step that needs the locks, the other steps or the machine of the process
            that executes the run.
    """

    name: str
    run: StepFunction
    input_type: type[Any] = dict
    output_type: type[Any] = dict
    summary: str = ""
    contains: Literal["", "step"] = ""
    visible: Mapping[str, Visibility] = {}
    program_inputs: tuple[str, ...] = ()
    placement: Placement = "anywhere"

    @property
    def is_async(self) -> bool:
        """Whether `run` is a coroutine function; otherwise it runs in a worker thread."""
        return inspect.iscoroutinefunction(self.run)

    def __call__(self, context: Any, inputs: Any) -> Any:
        """Call the step with a context and its typed inputs."""
        return self.run(context, inputs)
