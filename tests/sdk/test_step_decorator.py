"""What may be decorated with @step and @connector, and what is said of the rest, with file and line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from aetherflow import Connector, Resource, Skipped, StepContext, StepResult, StepType, connector, step
from aetherflow.errors import ConfigError
from aetherflow.execution.local_placement import call_step

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # what a plugin may do too


class Input(msgspec.Struct, frozen=True):
    path: str = ""


class Output(msgspec.Struct, frozen=True):
    lines: int


def called(kind: StepType, inputs: dict[str, Any]) -> Any:
    """Call a step as the engine does; its context only starts threads."""

    class Context:
        async def run_sync(self, function: Callable[..., Any], *args: Any) -> Any:
            return await anyio.to_thread.run_sync(function, *args)

    context: Any = Context()
    return anyio.run(call_step, context, kind, inputs).outputs


def test_a_function_gives_its_types_and_its_summary() -> None:
    @step("count")
    async def count(context: StepContext, inputs: Input) -> Output | StepResult:
        """Count lines.

        Slowly.
        """
        del context
        return Output(len(inputs.path)) if inputs.path else Skipped("no path")

    assert (count.name, count.summary, count.is_async) == ("count", "Count lines.", True)
    assert (count.input_type, count.output_type) == (Input, Output)
    assert called(count, {"path": "abc"}) == {"lines": 3}


def test_a_step_type_is_called_like_its_function() -> None:
    @step("count")
    def count(context: StepContext, inputs: Input) -> Output:
        del context
        return Output(len(inputs.path))

    context: Any = None
    assert count(context, Input("ab")) == Output(2)
    assert not count.is_async


@pytest.mark.parametrize(
    "annotation", [dict, dict[str, Any], Mapping[str, Any], Any, inspect.Parameter.empty]
)
def test_inputs_without_a_struct_accept_all(annotation: Any) -> None:
    def function(context: Any, inputs: Any) -> Any:
        del context
        return {"got": inputs}

    if annotation is inspect.Parameter.empty:
        del function.__annotations__["inputs"]
    else:
        function.__annotations__["inputs"] = annotation

    made = step("any")(function)

    assert (made.input_type, made.output_type) == (dict, dict)
    assert called(made, {"x": 1}) == {"got": {"x": 1}}


def test_types_that_only_the_type_checker_knows_do_not_matter_for_the_context() -> None:
    @step("lazy")
    def lazy(context: Unknown, inputs: Input) -> None:
        del context, inputs

    assert lazy.input_type is Input


def test_a_wrapped_function_is_seen_through() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any) -> Any:
            return await function(*args)

        return wrapper

    @step("wrapped")
    @logged
    async def wrapped(context: StepContext, inputs: Input) -> Output:
        """Count."""
        del context
        return Output(len(inputs.path))

    assert (wrapped.input_type, wrapped.output_type, wrapped.summary) == (Input, Output, "Count.")
    assert called(wrapped, {"path": "a"}) == {"lines": 1}


def test_a_class_with_its_input_and_output_is_a_step_with_an_instance_per_attempt() -> None:
    made: list[object] = []

    @step("count")
    class Count:
        """Count lines."""

        class Input(msgspec.Struct):
            path: str

        class Output(msgspec.Struct):
            lines: int

        def __init__(self) -> None:
            made.append(self)

        async def run(self, context: StepContext, inputs: Input) -> Output:
            del context
            return self.Output(len(inputs.path))

    count: Any = Count  # for the type checker it is still a class
    assert isinstance(count, StepType)
    assert (count.summary, count.is_async) == ("Count lines.", True)
    assert [field.name for field in msgspec.structs.fields(count.input_type)] == ["path"]
    assert [field.name for field in msgspec.structs.fields(count.output_type)] == ["lines"]
    assert [called(count, {"path": "ab"}), called(count, {"path": "c"})] == [{"lines": 2}, {"lines": 1}]
    assert len({id(one) for one in made}) == 2


def test_a_class_may_say_its_types_as_attributes_or_in_the_annotations_of_run() -> None:
    @step("attributes")
    class Attributes:
        Input, Output = Input, Output

        def run(self, context: Any, inputs: Any) -> Any:
            del context
            return Output(len(inputs.path))

    @step("annotations")
    class Annotations:
        def run(self, context: StepContext, inputs: Input) -> Output:
            del context
            return Output(len(inputs.path))

    kinds: list[Any] = [Attributes, Annotations]
    for made in kinds:
        assert isinstance(made, StepType)
        assert (made.input_type, made.output_type, made.is_async) == (Input, Output, False)
        assert called(made, {"path": "abc"}) == {"lines": 3}


async def generates(context: Any, inputs: Any) -> Any:
    yield context, inputs


class NoRun:
    pass


class NeedsArguments:
    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, context: Any, inputs: Any) -> None: ...


class RunTakesLess:
    def run(self, inputs: Any) -> None: ...


def unknown(context: Any, inputs: Unknown) -> None: ...


def number(context: Any, inputs: int) -> None: ...


WRONG = [
    (lambda: 0, "the function takes (context, inputs), not ()"),
    (lambda a, b, c: (a, b, c), "the function takes (context, inputs), not (a, b, c)"),
    (lambda *args: args, "the function takes (context, inputs), not (*args)"),
    (
        lambda context, *, inputs: (context, inputs),
        "the function takes (context, inputs), not (context, inputs)",
    ),
    (generates, "it is a generator; a step returns its outputs once"),
    (3, "a int is no function and no class"),
    (NoRun, "the class NoRun has no method run"),
    (
        NeedsArguments,
        "the class NeedsArguments cannot be made without arguments: missing a required argument",
    ),
    (RunTakesLess, "the function takes (context, inputs), not (inputs)"),
    (unknown, "the annotation of 'inputs' cannot be read: NameError: name 'Unknown' is not defined"),
    (number, "its inputs are a Struct or a dict, not int"),
]


@pytest.mark.parametrize(("target", "message"), WRONG)
def test_what_cannot_be_a_step_is_reported_where_it_is_decorated(target: Any, message: str) -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]  # there is a frame
    with pytest.raises(ConfigError) as raised:
        step("wrong")(target)

    assert raised.value.code == "AF547"
    assert raised.value.message.startswith(f"{__file__}:{line}: step 'wrong': {message}")
    assert raised.value.hint
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (number, "@step without a name on number"),
        ("two words", "'two words' cannot be the name of a step"),
        ("", "'' cannot be the name of a step"),
        (None, "None cannot be the name of a step"),
    ],
)
def test_what_cannot_be_the_name_of_a_step_is_reported(name: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        step(name)


class Made(Connector):
    @classmethod
    async def open(cls, resource: Resource) -> Made:
        del resource
        return cls()

    async def aclose(self) -> None: ...


class Half(Connector):
    @classmethod
    async def open(cls, resource: Resource) -> Half:
        raise NotImplementedError(resource)


def test_a_connector_stays_the_class_that_it_is() -> None:
    assert connector("test_signature:made")(Made) is Made


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: connector("only_kind"), "@connector is given kind:driver, not 'only_kind'"),
        (lambda: connector(Made), "@connector is given kind:driver, not Made"),  # type: ignore[arg-type]  # the mistake
        (lambda: connector("a:b")(NoRun), "connector 'a:b': NoRun is no subclass of aetherflow.Connector"),  # type: ignore[type-var]  # the mistake
        (lambda: connector("a:b")(Half), "connector 'a:b': Half does not define aclose"),
    ],
)
def test_a_wrong_connector_is_reported_where_it_is_decorated(use: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        use()

    assert raised.value.code == "AF548"
    place, _, reported = raised.value.message.partition(": ")
    assert place.startswith(f"{__file__}:")
    assert reported == message


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"placement": "moon"}, "Invalid enum value 'moon' - at `$.placement`"),
        ({"program_inputs": "command"}, "Expected `array`, got `str` - at `$.program_inputs`"),
        ({"visible": {"text": "everybody"}}, "Invalid enum value 'everybody' - at `$.visible[...]`"),
        ({"visible": ["text"]}, "Expected `object`, got `array` - at `$.visible`"),
        ({"contains": 5}, "Expected `str`, got `int` - at `$.contains`"),
    ],
)
def test_what_a_step_declares_is_checked_where_it_is_decorated(declared: Any, message: str) -> None:
    async def odd(_context: StepContext, _inputs: dict[str, Any]) -> None: ...

    with pytest.raises(ConfigError) as raised:
        step("odd", **declared)(odd)

    assert str(raised.value).endswith(f"step 'odd': what it declares does not fit: {message}"), raised.value
