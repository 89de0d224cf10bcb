"""What a step type is: a function with typed inputs, and what it may return."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Literal

import msgspec

StepFunction = Callable[..., Any]


class StepResult(msgspec.Struct, frozen=True):
    """How a step ended: SUCCESS or SKIPPED (a valid outcome: there was nothing to do), and what it yields."""

    status: Literal["SUCCESS", "SKIPPED"] = "SUCCESS"
    outputs: dict[str, Any] = {}
    reason: str = ""


def Skipped(reason: str, outputs: dict[str, Any] | None = None) -> StepResult:  # noqa: N802 - reads as an outcome
    """Return the result of a step that found nothing to do."""
    return StepResult(status="SKIPPED", outputs=outputs or {}, reason=reason)


class StepType(msgspec.Struct, frozen=True):
    """A registered step type.

    Attributes:
        name: what `type:` in a flow says.
        run: `(context, inputs) -> outputs`, async, or sync (then called in a worker thread). Returns a
            StepResult, a Struct, a mapping or None.
        input_type: Struct that the rendered inputs are converted to; `dict` accepts anything.
        output_type: Struct of the outputs, for the documentation; `dict` where it is open.
        summary: the first line of the function's docstring.
    """

    name: str
    run: StepFunction
    input_type: type[Any] = dict
    output_type: type[Any] = dict
    summary: str = ""

    @property
    def is_async(self) -> bool:
        """Whether `run` is a coroutine function; otherwise it runs in a worker thread."""
        return inspect.iscoroutinefunction(self.run)


def step(name: str) -> Callable[[StepFunction], StepType]:
    """Make a step type of a function `(context: StepContext, inputs: SomeStruct) -> SomeStruct`.

    The input and output types are read from the annotations of the function.

    Raises:
        TypeError: the function does not take exactly a context and its inputs.
    """

    def register(function: StepFunction) -> StepType:
        parameters = list(inspect.signature(function).parameters)
        if len(parameters) != 2:  # noqa: PLR2004 - the context and the inputs
            raise TypeError(
                f"step {name!r}: the function takes (context, inputs), not ({', '.join(parameters)})"
            )
        hints = typing.get_type_hints(function)
        return StepType(
            name=name,
            run=function,
            input_type=hints.get(parameters[1], dict),
            output_type=_struct_of(hints.get("return")),
            summary=(inspect.getdoc(function) or "").partition("\n")[0],
        )

    return register


def _struct_of(annotation: object) -> type[Any]:
    """Return the Struct in `SomeStruct | StepResult`, or dict where the annotation names none."""
    for candidate in typing.get_args(annotation) or (annotation,):
        if (
            isinstance(candidate, type)
            and issubclass(candidate, msgspec.Struct)
            and candidate is not StepResult
        ):
            return candidate
    return dict
