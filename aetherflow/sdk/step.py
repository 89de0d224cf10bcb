"""Step types: a function or class with typed inputs, its declared properties, and its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from aetherflow.events.marks import Mark

StepFunction = Callable[..., Any]
PlacementRule = Literal["coordinator", "anywhere"]
"""Where a step may run: only in the process that executes the run, or also in others, on other hosts."""


Visibility = Literal["process list", "mail subject"]
"""Where others can see an input: `ps` shows command lines, every mail server on the way logs subjects."""


FOLLOW_UP = ".after"
"""What the id and the type of a step have at their end that follows another one."""

KEEP = "keep"
"""The value of the input `after` with which nothing follows."""


class StepResult(msgspec.Struct, frozen=True):
    """How a step ended, SUCCESS or SKIPPED (there was nothing to do), and its outputs.

    Attributes:
        marks: high-water marks to move, by name; they are stored together with the SUCCESS.
    """

    status: Literal["SUCCESS", "SKIPPED"] = "SUCCESS"
    outputs: dict[str, Any] = {}
    reason: str = ""
    marks: dict[str, Mark] = {}


def Skipped(reason: str, outputs: dict[str, Any] | None = None) -> StepResult:  # noqa: N802 - reads as an outcome
    """Return the result of a step that found nothing to do."""
    return StepResult(status="SKIPPED", outputs=outputs or {}, reason=reason)


class OutputNames(msgspec.Struct, frozen=True):
    """The outputs that a step can have with given inputs.

    Attributes:
        names: those that it can have.
        absent: those that its type has, but this step never, and what to do to get them.
        is_open: whether it may have others, too.
    """

    names: frozenset[str]
    absent: Mapping[str, str] = {}
    is_open: bool = False


class StepType(msgspec.Struct, frozen=True):
    """A registered step type; calling it calls the decorated function or class.

    Attributes:
        name: the name that flows use in `type:`.
        run: `(context, inputs) -> outputs`, async, or sync (then called in a worker thread). Returns a
            StepResult, a Struct, a mapping or None.
        input_type: Struct that the rendered inputs are converted to; `dict` accepts anything.
        output_type: Struct of the outputs; `dict` if their names are not fixed.
        names_outputs: returns the outputs for the inputs as a flow has them, if those decide about them.
        summary: the first line of the docstring.
        contains: "step" if the input `step` is another step, {type, inputs}, that this step runs.
        visible: inputs that others can see, and where; `validate` warns about a secret in them.
        program_inputs: inputs that are passed to a program, `command` first; a shell may expand `${VAR}` in
            them.
        default_resource: the resource that the step uses if it names none, and the flow declares this one.
        placement: "coordinator" if the step must run in the process that executes the run, because it needs
            that process's locks, nested steps or machine.
        coordinator_inputs: inputs with which the step must run there too, unless the flow leaves them out or
            writes `false`; the flow decides, not what a template gives.
        is_foreign: whether its code is not AetherFlow's own, or may call such code: it may do anything.
        follow_up: the step that runs behind this one once its success is stored, see `follow_up_of`.
        resource_type: the class of connectors that the input `resource` must name; `validate` checks it.
        mark_input: the input {name: ...} that names the high-water mark of the step, by default JOB.STEP;
            `validate` reports a mark that several steps use.
    """

    name: str
    run: StepFunction
    input_type: type[Any] = dict
    output_type: type[Any] = dict
    names_outputs: Callable[[Mapping[str, Any]], OutputNames] | None = None
    summary: str = ""
    contains: Literal["", "step"] = ""
    visible: Mapping[str, Visibility] = {}
    program_inputs: tuple[str, ...] = ()
    default_resource: str = ""
    placement: PlacementRule = "anywhere"
    coordinator_inputs: tuple[str, ...] = ()
    is_foreign: bool = True
    follow_up: StepType | None = None
    resource_type: type[Any] | None = None
    mark_input: str = ""

    @property
    def is_async(self) -> bool:
        """Whether `run` is a coroutine function; otherwise it runs in a worker thread."""
        return inspect.iscoroutinefunction(self.run)

    def placement_with(self, written: Mapping[str, Any]) -> PlacementRule:
        """Return where a step with these inputs may run, which are as the flow has them."""
        is_bound = any(written.get(name, False) is not False for name in self.coordinator_inputs)
        return "coordinator" if is_bound else self.placement

    def __call__(self, context: Any, inputs: Any) -> Any:
        """Call the step with a context and its typed inputs."""
        return self.run(context, inputs)


def follow_up_of(step_type: StepType, inputs: Mapping[str, Any]) -> StepType | None:
    """Return the step that follows one with these inputs, if its type has one and the input `after` wants it.

    `after` is absent, null or `keep` if nothing is to follow; what a template gives is known only later.
    """
    wanted = inputs.get("after")
    return None if wanted is None or wanted == KEEP else step_type.follow_up


def follow_up_id(step_id: str) -> str:
    """Return the id of the step that follows a step."""
    return f"{step_id}{FOLLOW_UP}"
