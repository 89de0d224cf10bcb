"""The decorator `@step`: turn a function or class into a step type, or report why it cannot be one."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from aetherflow.errors import ConfigError
from aetherflow.sdk.registration import declaration_error, declare
from aetherflow.sdk.step import (
    FOLLOW_UP,
    KEEP,
    OutputNames,
    PlacementRule,
    Skipped,
    StepFunction,
    StepResult,
    StepType,
    Visibility,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CODE = "AF547"
_FUNCTION = "write: async def NAME(context: StepContext, inputs: SomeStruct) -> SomeStruct"
_METHOD = "write: async def run(self, context: StepContext, inputs: Input) -> Output"
_TAKEN = 2
"""The number of parameters of a step: the context and its inputs."""


class _Declared(msgspec.Struct, frozen=True):
    """What a step declares about itself, see `StepType`."""

    placement: PlacementRule
    coordinator_inputs: tuple[str, ...]
    contains: Literal["", "step"]
    visible: dict[str, Visibility]
    program_inputs: tuple[str, ...]
    default_resource: str
    mark_input: str


def step(
    name: str,
    *,
    output: type[Any] | None = None,
    names_outputs: Callable[[Mapping[str, Any]], OutputNames] | None = None,
    placement: PlacementRule = "anywhere",
    coordinator_inputs: tuple[str, ...] = (),
    contains: Literal["", "step"] = "",
    visible: Mapping[str, Visibility] | None = None,
    program_inputs: tuple[str, ...] = (),
    default_resource: str = "",
    follow_up: StepFunction | None = None,
    resource_type: type[Any] | None = None,
    mark_input: str = "",
) -> Callable[[Any], StepType]:
    """Turn a function `(context: StepContext, inputs: Struct) -> Struct`, or a class, into a step type.

    The input and output types of a function are read from its annotations. A class has a method
    `run(self, context, inputs)`, and its `Input` and `Output` are attributes or annotations of that method;
    every attempt gets its own instance.

    Args:
        name: the name that flows use in `type:`.
        output: the Struct of the outputs of a function that returns a StepResult.
        names_outputs: see `StepType`.
        placement: "coordinator" for a step that takes locks or runs other steps, and so must run in the
            process that executes the run.
        coordinator_inputs: see `StepType`.
        contains: see `StepType`.
        visible: see `StepType`.
        program_inputs: see `StepType`.
        default_resource: see `StepType`.
        follow_up: a function of the same inputs. It runs as the step `ID.after` once the success of this one
            is stored, if the input `after` is given and is not `keep`.
        resource_type: see `StepType`.
        mark_input: see `StepType`.

    Raises:
        ConfigError: the decorated object cannot be a step (AF547); the message has its file and line.
    """
    check_name(name)

    def register(target: Any) -> StepType:
        given = {
            "placement": placement,
            "coordinator_inputs": coordinator_inputs,
            "contains": contains,
            "visible": visible or {},
            "program_inputs": program_inputs,
            "default_resource": default_resource,
            "mark_input": mark_input,
        }
        try:
            declared = msgspec.convert(given, _Declared)
        except msgspec.ValidationError as error:
            hint = "the arguments of @step: aetherflow help writing-plugins"
            raise _wrong(name, f"what it declares does not fit: {error}", hint) from None
        made = msgspec.structs.replace(step_of(name, target), **msgspec.structs.asdict(declared))
        if output is not None:
            made = msgspec.structs.replace(made, output_type=output)
        if names_outputs is not None:
            made = msgspec.structs.replace(made, names_outputs=names_outputs)
        if follow_up is not None:
            made = msgspec.structs.replace(made, follow_up=_follow_up(name, follow_up))
        if resource_type is not None:
            made = msgspec.structs.replace(made, resource_type=resource_type)
        declare("step type", name, made)
        return made

    return register


def _follow_up(name: str, target: StepFunction) -> StepType:
    """Return the step type of a follow-up; it is SKIPPED if a template gave `keep`."""
    made = step_of(f"{name}{FOLLOW_UP}", target)

    def wants_nothing(inputs: Any) -> bool:
        after = inputs.get("after") if isinstance(inputs, Mapping) else getattr(inputs, "after", None)
        return after is None or after == KEEP

    if made.is_async:

        async def run_async(context: Any, inputs: Any) -> Any:
            return Skipped("after: keep") if wants_nothing(inputs) else await made.run(context, inputs)

        return msgspec.structs.replace(made, run=run_async)

    def run(context: Any, inputs: Any) -> Any:
        return Skipped("after: keep") if wants_nothing(inputs) else made.run(context, inputs)

    return msgspec.structs.replace(made, run=run)


def check_name(name: object) -> None:
    """Check the name of a step type.

    Raises:
        ConfigError: it is not a valid name, most likely because `@step` has no parentheses.
    """
    if callable(name):
        called = getattr(name, "__name__", "it")
        raise declaration_error(f"@step without a name on {called}", f'write: @step("{called}")', _CODE)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise declaration_error(
            f"{name!r} cannot be the name of a step", "use letters, digits, _ . and -", _CODE
        )


def step_of(name: str, target: Any) -> StepType:
    """Return the step type of a function or class.

    Raises:
        ConfigError: its parameters are wrong, or its types are not Structs.
    """
    if isinstance(target, type):
        return _of_class(name, target)
    if not inspect.isfunction(inspect.unwrap(target)):
        raise _wrong(name, f"a {type(target).__name__} is no function and no class", _FUNCTION)
    inputs = _second_parameter(name, target, _FUNCTION)
    scope: dict[str, Any] = {}
    return StepType(
        name=name,
        run=target,
        input_type=_input_type(name, _resolved(name, target, inputs, scope)),
        output_type=_output_type(_resolved(name, target, "return", scope)),
        summary=_summary(target),
    )


def _of_class(name: str, cls: type[Any]) -> StepType:
    method = inspect.getattr_static(cls, "run", None)
    if not inspect.isfunction(method):
        raise _wrong(name, f"the class {cls.__name__} has no method run", _METHOD)
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        message = f"the class {cls.__name__} cannot be made without arguments: {error}"
        raise _wrong(
            name, message, "give them defaults, or take what the step needs from its inputs"
        ) from None
    inputs = _second_parameter(name, method, _METHOD, bound=True)
    scope = dict(vars(cls))
    wanted = scope["Input"] if "Input" in scope else _resolved(name, method, inputs, scope)
    given = scope["Output"] if "Output" in scope else _resolved(name, method, "return", scope)
    return StepType(
        name=name,
        run=_in_instance(cls, is_async=inspect.iscoroutinefunction(method)),
        input_type=_input_type(name, wanted),
        output_type=_output_type(given),
        summary=_summary(cls),
    )


def _in_instance(cls: type[Any], *, is_async: bool) -> StepFunction:
    """Return a function that makes an instance and calls its `run`."""
    if is_async:

        async def run_async(context: Any, inputs: Any) -> Any:
            return await cls().run(context, inputs)

        return run_async

    def run(context: Any, inputs: Any) -> Any:
        return cls().run(context, inputs)

    return run


def _second_parameter(name: str, function: Any, hint: str, *, bound: bool = False) -> str:
    """Return the name of the parameter that takes the inputs."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _wrong(name, "it is a generator; a step returns its outputs once", hint)
    parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if len(parameters) != _TAKEN or any(parameter.kind not in positional for parameter in parameters):
        taken = ", ".join(str(parameter).partition(":")[0] for parameter in parameters)
        raise _wrong(name, f"the function takes (context, inputs), not ({taken})", hint)
    return parameters[1].name


def _resolved(name: str, function: Any, parameter: str, scope: dict[str, Any]) -> Any:
    """Return the type that an annotation names; others may be unknown at run time."""
    function = inspect.unwrap(function)
    annotation = function.__annotations__.get(parameter, dict)
    holder = type("Annotated", (), {"__annotations__": {parameter: annotation}})
    module = sys.modules.get(function.__module__)
    try:
        return typing.get_type_hints(holder, vars(module) if module else None, scope)[parameter]
    except Exception as error:  # noqa: BLE001 - an annotation may be anything
        message = f"the annotation of {parameter!r} cannot be read: {type(error).__name__}: {error}"
        raise _wrong(name, message, "import its type for real, outside of `if TYPE_CHECKING`") from None


def _input_type(name: str, wanted: Any) -> type[Any]:
    origin = typing.get_origin(wanted) or wanted
    if origin is Any or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return dict
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return origin
    said = getattr(wanted, "__name__", str(wanted))
    raise _wrong(
        name, f"its inputs are a Struct or a dict, not {said}", "write: class Input(msgspec.Struct): ..."
    )


def _output_type(annotation: Any) -> type[Any]:
    """Return the Struct in `SomeStruct | StepResult`, or dict where the annotation names none."""
    for candidate in typing.get_args(annotation) or (annotation,):
        if (
            isinstance(candidate, type)
            and issubclass(candidate, msgspec.Struct)
            and candidate is not StepResult
        ):
            return candidate
    return dict


def _summary(target: Any) -> str:
    return (inspect.getdoc(target) or "").partition("\n")[0]


def _wrong(name: str, message: str, hint: str) -> ConfigError:
    return declaration_error(f"step {name!r}: {message}", hint, _CODE)
