"""Check the step types, inputs, connectors and resources of a flow, for `validate`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache
from typing import Any, Protocol, get_args

import msgspec
from msgspec import inspect as kinds

from aetherflow.check.input_rules import broken_rule
from aetherflow.check.mark_names import check_mark_names
from aetherflow.check.output_names import check_output_names
from aetherflow.check.planned_steps import planned_steps, texts
from aetherflow.check.taken_sources import check_taken_sources
from aetherflow.check.written_paths import check_flow_paths, check_path_below
from aetherflow.errors import AetherFlowError
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.step import StepType
from aetherflow.spec.convert import convert, misfit, type_info
from aetherflow.spec.decode import fits, wrong_kind
from aetherflow.spec.duration import ACCEPTED
from aetherflow.spec.flow import ResourceSpec, StepSpec
from aetherflow.spec.meant_values import meant_list, meant_mapping
from aetherflow.spec.messages import is_address
from aetherflow.spec.missing_quotes import quotes_hint
from aetherflow.spec.spelling import alternatives, is_duration, is_no_duration, is_path, misplaced
from aetherflow.spec.suggest import did_you_mean, nearest, quoted, shown

_LISTS = {kinds.ListType, kinds.VarTupleType, kinds.TupleType}
_MAPPINGS = {kinds.DictType, kinds.StructType}


class Registry(Protocol):
    """The lookup of types that a check needs; `aetherflow.registry.Registry` implements it."""

    def step_type(self, name: str) -> StepType:
        """Return the step type of that name."""
        ...

    def connector_class(self, name: str) -> type[Connector]:
        """Return the connector class of that `kind:driver`."""
        ...


def check_flow(
    plan: Plan, registry: Registry, sink: DiagnosticSink, inherited: Container[str] = ()
) -> dict[str, StepType]:
    """Report every error in the steps and resources of a plan to `sink`; return its step types by name.

    `inherited` are the resources of a bundle manifest, which are checked with the manifest.
    """
    check_flow_paths(plan, sink)
    checker = _StepChecker(plan, registry, sink)
    for step, where in planned_steps(plan):
        _check_slots(step.spec, where, sink)
        checker.check(step.spec.type, step.inputs.raw, where)
    for name, resource in plan.resources.items():
        if name in inherited:
            continue
        if not sink.is_guess(("resources", name, "kind")):
            check_driver(name, resource, registry, sink)
        if name not in checker.used and not is_address(name):
            message = f"no step uses the resource {name!r} by its name"
            sink.add(("resources", name), "AF552", message, severity="warning")
    follow_ups = [one.follow_up for one in checker.step_types.values() if one.follow_up is not None]
    step_types = checker.step_types | {one.name: one for one in follow_ups}
    check_output_names(plan, step_types, sink)
    check_mark_names(plan, step_types, sink)
    check_taken_sources(plan, step_types, sink)
    return step_types


def _check_slots(step: StepSpec, where: Path, sink: DiagnosticSink) -> None:
    if step.pool is None and step.slots != 1:
        message = f"step {step.id!r} wants {step.slots} slots, but of no pool"
        sink.add((*where, "slots"), "AF644", message, "add pool: NAME, or leave slots out")


def check_driver(name: str, resource: ResourceSpec, registry: Registry, sink: DiagnosticSink) -> None:
    """Report a resource for which there is no connector."""
    try:
        registry.connector_class(resource.connector)
    except AetherFlowError as error:
        sink.add(("resources", name, "driver"), error.code, error.message, error.hint)


class _StepChecker:
    """Checks the steps of a plan.

    Attributes:
        step_types: the step types found, by name; each is looked up once.
        used: the resources that steps use, or might use.
    """

    def __init__(self, plan: Plan, registry: Registry, sink: DiagnosticSink) -> None:
        self.step_types: dict[str, StepType] = {}
        self.used: set[str] = set()
        self._resources = plan.resources
        self._registry = registry
        self._sink = sink

    def check(self, type_name: str, inputs: dict[str, Any], base: Path) -> None:
        """Check one step, and the step inside it if it contains one."""
        self._check_resource(inputs.get("resource"), (*base, "inputs", "resource"))
        if self._sink.is_guess((*base, "type")):
            self.used.update(self._resources)  # an unknown type might use any of them
            return
        try:
            step_type = self.step_types.get(type_name) or self._registry.step_type(type_name)
        except AetherFlowError as error:
            self._sink.add((*base, "type"), error.code, error.message, error.hint)
            return
        self.step_types[type_name] = step_type
        self._check_connector(step_type, inputs.get("resource"), (*base, "inputs", "resource"))
        self.used.add(step_type.default_resource)
        struct = _struct_in(step_type.input_type)
        if self._resources:
            named = {text for text, _ in texts(inputs, ())}  # any of them may name a resource
            self.used.update(self._resources if struct is None else self._resources.keys() & named)
        if struct is not None and not _are_right(inputs, struct):
            _check_inputs(step_type, struct, inputs, (*base, "inputs"), self._sink)
        inner = inputs.get("step")
        if step_type.contains == "step" and isinstance(inner, dict):
            inner_type, inner_inputs = inner.get("type"), inner.get("inputs") or {}
            if _has_template(inner_type):
                self.used.update(self._resources)  # known only when it runs
            elif isinstance(inner_type, str) and isinstance(inner_inputs, dict):
                self.check(inner_type, inner_inputs, (*base, "inputs", "step"))

    def _check_resource(self, resource: Any, where: Path) -> None:
        """Record that a step uses a resource; report it if the flow has none of that name."""
        if isinstance(resource, str) and "{{" not in resource:
            self.used.add(resource)
            if resource not in self._resources:
                hint = did_you_mean(resource, self._resources) or "declare it under resources"
                self._sink.add(where, "AF550", f"the flow has no resource {resource!r}", hint)
        elif resource is not None:
            self.used.update(self._resources)  # known only when it runs

    def _check_connector(self, step_type: StepType, resource: Any, where: Path) -> None:
        """Report a resource whose connector a step does not work with."""
        wanted = step_type.resource_type
        spec = self._resources.get(resource) if isinstance(resource, str) else None
        if spec is None or wanted is None or self._is_a(wanted, spec):
            return
        others = [name for name, other in self._resources.items() if other.kind != spec.kind]
        fitting = ", ".join(name for name in others if self._is_a(wanted, self._resources[name]))
        message = f"{step_type.name} does not work with the resource {resource!r}, a {spec.connector}"
        hint = f"it works with: {fitting}" if fitting else f"see: aetherflow steps show {step_type.name}"
        self._sink.add(where, "AF300", message, hint)

    def _is_a(self, wanted: type[Any], resource: ResourceSpec) -> bool:
        """Whether the connector of a resource is of a class; one that is not found is reported elsewhere."""
        try:
            return issubclass(self._registry.connector_class(resource.connector), wanted)
        except AetherFlowError:
            return True


def _are_right(inputs: dict[str, Any], struct: type[msgspec.Struct]) -> bool:
    """Whether inputs are surely right, as most are: constant, of simple kinds, and they fit as a whole.

    In doubt it is False, and each input is looked at.
    """
    fields = _fields_of(struct)
    if not all(name in fields and fields[name].is_simple for name in inputs):
        return False
    if b"{{" in msgspec.json.encode(inputs) or _needs_one_of(struct):
        return False
    try:
        convert(inputs, struct, strict=False)
    except BaseException as error:  # the `__post_init__` of a plugin may raise anything
        if is_our_cancellation(error):
            raise
        return False
    return True


def _check_inputs(
    step_type: StepType,
    struct: type[msgspec.Struct],
    inputs: Mapping[str, Any],
    base: Path,
    sink: DiagnosticSink,
    inside: str = "",
) -> None:
    """Check names and constant values; the value of a template is known only when the step runs.

    `inside` is the path of the enclosing input, with a dot at its end; empty at the top.
    """
    before, is_complete = len(sink.diagnostics), True
    see = f"see: aetherflow steps show {step_type.name}"
    fields = _fields_of(struct)
    suggested: set[str] = set()
    for name, value in inputs.items():
        where, called = (*base, name), f"{inside}{name}"
        if name not in fields:
            free = [field for field in fields if field not in inputs]
            meant = nearest(name, free) or nearest(name, list(fields))
            suggested.add(meant)
            known = ", ".join(inside + field for field in fields)
            hint = f"did you mean {meant!r}?" if meant else f"its inputs: {known}"
            sink.add(where, "AF543", f"{step_type.name} has no input {called!r}", hint)
        else:
            _check_input(step_type, fields[name], value, where, called, sink)
    for name, field in fields.items():
        if field.required and name not in inputs and name not in suggested:
            is_complete = False
            where = base if inputs or inside else base[:-1]
            sink.add(where, "AF545", f"{step_type.name} needs the input {inside + name!r}", see)
    for names in _needs_one_of(struct):
        if not suggested.union(inputs).intersection(names):
            is_complete = False
            either = " or ".join(repr(inside + name) for name in names)
            where = base if inputs or inside else base[:-1]
            sink.add(where, "AF545", f"{step_type.name} needs the input {either}", see)
    if not is_complete or len(sink.diagnostics) > before:
        return
    unknown = {name for name, value in inputs.items() if _has_template(value)}
    problem = broken_rule(struct, inputs, unknown) if unknown else _misfit(inputs, struct, inside[:-1])
    if problem:  # rules over several fields: `__post_init__`
        sink.add(base, "AF544", f"the inputs of {step_type.name}: {problem}", see)


def _check_input(
    step_type: StepType, field: _Field, value: Any, where: Path, called: str, sink: DiagnosticSink
) -> None:
    """Check one input; of mappings whose keys are known, each key."""
    if isinstance(value, dict) and field.struct is not None:
        _check_inputs(step_type, field.struct, value, where, sink, f"{called}.")
    elif _are_mappings(value) and field.item_struct is not None:
        for number, item in enumerate(value):
            _check_inputs(step_type, field.item_struct, item, (*where, number), sink, f"{called}[{number}].")
    else:
        _check_value(step_type, field, value, where, called, sink)


def _check_value(
    step_type: StepType, field: _Field, value: Any, where: Path, called: str, sink: DiagnosticSink
) -> None:
    """Check the value of one input; of a template only what is around it."""
    kind, wanted = field.kind, field.type
    if field.is_duration and is_no_duration(value, kind):
        message = f"input {called!r} of {step_type.name}: {quoted(value)} is no duration"
        sink.add(where, "AF116", message, f"write {ACCEPTED}")
        return
    if field.is_path:
        for text, place in texts(value, where):
            check_path_below(text, called, place, sink)
    unquoted = list(misplaced(value, kind, where))
    for place in unquoted:
        name, inner = called, value
        for key in place[len(where) :]:
            name, inner = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}", inner[key]
        message = f"input {name!r} of {step_type.name}: expected text, got {shown(inner)}"
        sink.add(place, "AF115", message, quotes_hint(sink.document, inner, place))
    if form := _other_form(value, kind):
        message, hint = form
        sink.add(where, "AF544", f"input {called!r} of {step_type.name}: {message}", hint)
    elif not unquoted and not _has_template(value) and (problem := _misfit(value, wanted, called)):
        see = _choices(value, wanted) or f"see: aetherflow steps show {step_type.name}"
        message, hint = _other_kind(value, kind) or (problem, see)
        sink.add(where, "AF544", f"input {called!r} of {step_type.name}: {message}", hint or see)


def _other_form(value: Any, kind: kinds.Type) -> tuple[str, str] | None:
    """Return message and hint if a list was written for a mapping, or the other way round."""
    if not isinstance(value, list | dict):
        return None
    wanted = {type(one) for one, _ in alternatives(kind)}
    if kinds.AnyType in wanted:
        return None
    if isinstance(value, list) and not wanted & _LISTS and wanted & _MAPPINGS:
        return "expected a mapping, got a list", meant_mapping(value)
    if isinstance(value, dict) and not wanted & _MAPPINGS and wanted & _LISTS:
        return "expected a list, got a mapping", meant_list(value)
    return None


def _other_kind(value: Any, kind: kinds.Type) -> tuple[str, str] | None:
    """Return message and hint if a scalar is of another kind than the input takes."""
    wanted = [one for one, _ in alternatives(kind) if not isinstance(one, kinds.NoneType)]
    if isinstance(value, list | dict) or any(fits(value, one) for one in wanted):
        return None
    return wrong_kind(value, wanted)


def _misfit(value: object, wanted: Any, called: str) -> str:
    return misfit(value, wanted).replace(" - at `$", f" - at `{called}")


def _choices(value: object, wanted: Any) -> str:
    """Return the allowed words of an input that is a choice, and the one that was probably meant."""
    words = [
        word for part in get_args(wanted) for word in (get_args(part) or (part,)) if isinstance(word, str)
    ]
    if not words:
        return ""
    meant = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"{meant} allowed: {', '.join(words)}".strip()


def _are_mappings(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _item_struct(kind: kinds.Type) -> type[msgspec.Struct] | None:
    """Return the Struct of the mappings in a list, if the field is a list of one whose keys are all known."""
    items = [option.item_type for option, _ in alternatives(kind) if isinstance(option, kinds.ListType)]
    found = [one for item in items for one, _ in alternatives(item) if type(one) in _MAPPINGS]
    if len(found) != 1 or not isinstance(found[0], kinds.StructType):
        return None
    return found[0].cls if found[0].forbid_unknown_fields else None


def _struct_in(wanted: Any) -> type[msgspec.Struct] | None:
    """Return the Struct in `SomeStruct` or `SomeStruct | None`, if there is one."""
    for candidate in get_args(wanted) or (wanted,):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


class _Field(msgspec.Struct, frozen=True):
    """An input of a step type, and what is asked about it for each step of a flow.

    Attributes:
        is_simple: whether a constant that fits the type is right.
    """

    type: Any
    required: bool
    kind: kinds.Type
    struct: type[msgspec.Struct] | None
    item_struct: type[msgspec.Struct] | None
    is_path: bool
    is_duration: bool
    is_simple: bool


@cache
def _fields_of(struct: Any) -> dict[str, _Field]:
    found = {}
    for field in msgspec.structs.fields(struct):
        kind = type_info(field.type)
        inner, item = _struct_in(field.type), _item_struct(kind)
        found[field.encode_name] = _Field(
            type=field.type,
            required=field.required,
            kind=kind,
            struct=inner,
            item_struct=item,
            is_path=is_path(kind),
            is_duration=is_duration(kind),
            is_simple=not (inner or item or is_path(kind) or is_duration(kind)),
        )
    return found


def _needs_one_of(struct: type[msgspec.Struct]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of inputs of which at least one must be given; see the manual for plugins."""
    return getattr(struct, "needs_one_of", ())


def _has_template(value: object) -> bool:
    return any("{{" in text for text, _ in texts(value, ()))
