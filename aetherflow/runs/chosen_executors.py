"""Find the executors that a flow names, and read their options in the flow, a project or a variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as kinds

from aetherflow.config.environment import Environment
from aetherflow.config.restrictions import ENTERPRISE
from aetherflow.config.settings import DEFAULT, ENVIRONMENT
from aetherflow.errors import AetherFlowError, ConfigError, Diagnostic, InvalidInput
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan, StepPlan
from aetherflow.redaction import Redactor
from aetherflow.registry import executor_class, executor_names
from aetherflow.sdk.executor import IS_FILE, Executor
from aetherflow.spec.convert import convert_values, in_words, type_info
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, NodePath, parse_document
from aetherflow.spec.flow import HOOKS, LOCAL, ExecutorSpec, FlowFile, StepSpec
from aetherflow.spec.spelling import alternatives
from aetherflow.working_directory import working_directory
from aetherflow.written_path import written_path

JSON_VARIABLE = "AETHERFLOW_EXECUTORS_JSON"
_PEM = "-----BEGIN"


class ExecutorChoice(msgspec.Struct, frozen=True, eq=False):
    """An executor that steps name, and its options.

    Attributes:
        options: of the `options_type` of the executor; paths are absolute.
    """

    name: str
    executor: Executor
    options: Any


Choices = dict[str, ExecutorChoice]
"""By `key_of` what flows and settings say."""


def key_of(written: ExecutorSpec) -> str:
    """Return the same text for what names the same executor in the same words."""
    if isinstance(written, str):
        return written
    ((name, options),) = written.items()
    return name if options is None else msgspec.json.encode(written, order="sorted").decode()


def written_executor(step: StepPlan, plan: Plan, environment: Environment) -> ExecutorSpec:
    """Return what is said about where a step runs: by itself or its job, by the flow, or by the settings."""
    return step.spec.executor or plan.flow.executor or environment.settings.executor


def check_executors(
    spec: FlowFile, plan: Plan, environment: Environment, redactor: Redactor, sink: DiagnosticSink
) -> tuple[Choices, list[Diagnostic]]:
    """Return the executors that a flow and the settings name; report what is wrong with them to `sink`.

    The list has warnings about options that are in another file.

    Raises:
        ConfigError: the settings name an executor that does not exist or cannot be used.
        InvalidInput: options in a project file, or in the variable, are wrong.
    """
    found: Choices = {}
    elsewhere: list[Diagnostic] = []
    for where, written in _written(spec):
        if sink.is_guess(where) or (key := key_of(written)) in found or key == LOCAL:
            continue
        try:
            choice = _in_flow(written, where, plan, environment, redactor, sink)
        except InvalidInput:
            raise
        except AetherFlowError as error:
            sink.add(where, error.code, error.message, error.hint)
            continue
        if choice is not None:
            found[key] = choice
            _check_options(choice, where, sink)
    if plan.flow.executor is None and environment.settings.executor not in (LOCAL, *found):
        choice, elsewhere = _of_settings(environment, redactor)
        found[choice.name] = choice
    _check_steps(spec, plan, environment, sink)
    return found, elsewhere


def _of_settings(environment: Environment, redactor: Redactor) -> tuple[ExecutorChoice, list[Diagnostic]]:
    name = environment.settings.executor
    source = environment.settings.sources.get("executor", DEFAULT)
    source = "AETHERFLOW_EXECUTOR" if source == ENVIRONMENT else source
    try:
        choice = named_executor(name, environment, redactor)
        results = choice.executor.check(choice.options)
    except ConfigError as error:
        raise ConfigError(f"{error.message} ({source})", hint=error.hint, code=error.code) from None
    warnings = []
    for result in results:
        message = f"executor {name}: {result.message}"
        if result.state == "error":
            raise ConfigError(f"{message} ({source})", hint=result.hint, code="AF821")
        if result.state == "warning":
            warnings.append(Diagnostic("AF825", message, source, 0, 0, "warning", result.hint))
    return choice, warnings


def named_executor(name: str, environment: Environment, redactor: Redactor) -> ExecutorChoice:
    """Return an executor of which only the name is given; a variable or the project has its options.

    Raises:
        ConfigError: it does not exist or cannot be used, or it needs options that nobody gives.
        InvalidInput: its options are wrong.
    """
    executor = executor_class(name, redactor)()
    for document, path, folder in _named_options(name, environment):
        options = _decoded(document, path, folder, executor, environment)
        if isinstance(options, list):
            raise InvalidInput(document.in_order(options))
        return ExecutorChoice(name, executor, options)
    try:
        return ExecutorChoice(name, executor, convert_values({}, executor.options_type))
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the executor {name!r} needs options: {in_words(error)}",
            hint=f"write them into aetherflow.yaml, executors: {{{name}: {{...}}}}, or into {JSON_VARIABLE}",
            code="AF821",
        ) from None


def _named_options(name: str, environment: Environment) -> Iterator[tuple[Document, NodePath, Path]]:
    """Yield where the options of an executor are, what counts first: the variable, then the projects."""
    if text := environment.settings.executors_json:
        document = parse_document(text, JSON_VARIABLE)
        wanted = dict[str, dict[str, Any] | None]
        given, wrong = decode(document, wanted)
        if given is None:
            raise InvalidInput(wrong)
        for other in given:
            if other not in executor_names():
                executor_class(other)  # says that there is none
        if given.get(name) is not None:
            yield document, (name,), working_directory()
    for project in reversed(environment.projects):
        if project.written.spec.executors.get(name) is not None:
            yield project.written.document, ("executors", name), project.folder


def _in_flow(
    written: ExecutorSpec,
    where: NodePath,
    plan: Plan,
    environment: Environment,
    redactor: Redactor,
    sink: DiagnosticSink,
) -> ExecutorChoice | None:
    """Return an executor that a flow names at a place, or None if its options there are wrong."""
    name, options = (written, None) if isinstance(written, str) else next(iter(written.items()))
    if options is None:
        return named_executor(name, environment, redactor)
    if name == LOCAL:
        raise ConfigError("the executor 'local' has no options", hint="write executor: local", code="AF821")
    if environment.settings.mode == ENTERPRISE:
        raise ConfigError(
            f"in enterprise mode a flow cannot give options of the executor {name!r}",
            hint=f"write executor: {name}, and the options into {JSON_VARIABLE} or a project file",
            code="AF829",
        )
    executor = executor_class(name, redactor)()
    path = (*where, name)
    found = _decoded(sink.document, path, plan.place.folder, executor, environment)
    if isinstance(found, list):
        sink.diagnostics += found
        return None
    return ExecutorChoice(name, executor, found)


def _decoded(
    document: Document, path: NodePath, folder: Path, executor: Executor, environment: Environment
) -> Any:
    """Return the options at a place of a document, converted; if they are wrong, a list of diagnostics."""
    found, wrong = decode(document, executor.options_type, path)
    if found is None:
        return wrong
    plain = document.at(path)
    home = environment.variables.get("HOME", "")
    absolute = _with_absolute_paths(plain, type_info(executor.options_type), folder, home)
    return found if absolute is plain else convert_values(absolute, executor.options_type)


def _with_absolute_paths(value: Any, kind: kinds.Type, folder: Path, home: str) -> Any:
    """Return plain data whose relative paths start at a folder; what has none is shared."""
    for option, marks in alternatives(kind):
        if isinstance(value, str) and marks.get(IS_FILE) and not value.lstrip().startswith(_PEM):
            return str(written_path(value, folder, home=home))
        if isinstance(value, Mapping) and isinstance(option, kinds.StructType):
            fields = {field.encode_name: field.type for field in option.fields}
            changed = {
                key: made
                for key, inner in value.items()
                if key in fields
                and (made := _with_absolute_paths(inner, fields[key], folder, home)) is not inner
            }
            return {**value, **changed} if changed else value
    return value


def _check_options(choice: ExecutorChoice, where: NodePath, sink: DiagnosticSink) -> None:
    try:
        results = choice.executor.check(choice.options)
    except AetherFlowError as error:
        sink.add(where, error.code, error.message, error.hint)
        return
    for result in results:
        message = f"executor {choice.name}: {result.message}"
        if result.state == "error":
            sink.add(where, "AF821", message, result.hint)
        elif result.state == "warning":
            sink.add(where, "AF825", message, result.hint, "warning")


def _check_steps(spec: FlowFile, plan: Plan, environment: Environment, sink: DiagnosticSink) -> None:
    """Warn about needs that nobody looks at, and about steps that cannot leave the process of the run."""
    of_flow = spec.flow.executor or environment.settings.executor
    for number, job in enumerate(spec.jobs):
        of_job = job.executor or of_flow
        if all(key_of(step.executor or of_job) == LOCAL for step in job.steps):
            _warn_of_needs(job.resources, job.runs_on, ("jobs", number), sink)
        for place, step in enumerate(job.steps):
            where: NodePath = ("jobs", number, "steps", place)
            if key_of(step.executor or of_job) == LOCAL:
                _warn_of_needs(step.resources, step.runs_on, where, sink)
            _check_step(step, where, plan, sink)
    for name in HOOKS:
        for place, step in enumerate(getattr(spec.flow, name)):
            where = ("flow", name, place)
            if key_of(step.executor or of_flow) == LOCAL:
                _warn_of_needs(step.resources, step.runs_on, where, sink)
            _check_step(step, where, plan, sink)


def _warn_of_needs(
    resources: Mapping[str, float], label: str | None, where: NodePath, sink: DiagnosticSink
) -> None:
    for key in [name for name, said in (("resources", resources), ("runs_on", label)) if said]:
        message = f"{key!r} is about the workers of a cluster, and this runs in the process of the run"
        hint = "add an executor, such as executor: dask, or start the run with --executor dask"
        sink.add((*where, key), "AF822", message, hint, "warning")


def _check_step(step: StepSpec, where: NodePath, plan: Plan, sink: DiagnosticSink) -> None:
    step_type = plan.step_types.get(step.type)
    if step.executor is None or step_type is None or step_type.placement == "anywhere":
        return
    if key_of(step.executor) != LOCAL:
        message = f"a step of type {step.type} always runs in the process of the run"
        sink.add((*where, "executor"), "AF823", message, "remove it", "warning")


def _written(spec: FlowFile) -> Iterator[tuple[NodePath, ExecutorSpec]]:
    """Yield what a flow says about where steps run, with its place."""
    if spec.flow.executor is not None:
        yield ("flow", "executor"), spec.flow.executor
    for name in HOOKS:
        for number, step in enumerate(getattr(spec.flow, name)):
            if step.executor is not None:
                yield ("flow", name, number, "executor"), step.executor
    for number, job in enumerate(spec.jobs):
        if job.executor is not None:
            yield ("jobs", number, "executor"), job.executor
        for place, step in enumerate(job.steps):
            if step.executor is not None:
                yield ("jobs", number, "steps", place, "executor"), step.executor
