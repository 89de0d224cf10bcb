"""Load a flow and all files it refers to, and report all diagnostics before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aetherflow.check.check_flow import check_driver, check_flow
from aetherflow.check.flow_advice import check_advice
from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.flow_defaults import with_defaults
from aetherflow.config.profiles import configured_profiles
from aetherflow.config.project import project_of
from aetherflow.config.restrictions import Restrictions, restrictions_of
from aetherflow.config.written_resources import ShapesOf, written_resources
from aetherflow.errors import Diagnostic, InvalidInput, Severity
from aetherflow.events.bundle_use import BundleUse
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.plugin_output import held_back
from aetherflow.redaction import Redactor
from aetherflow.registry import Registry, registry_of
from aetherflow.runs.flow_folders import with_flow_variables, with_likely_work_root
from aetherflow.runs.named_inputs import register_addresses, register_constant_inputs
from aetherflow.sdk.step import StepType
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.flow_place import place_of
from aetherflow.spec.load import FlowDocument, read_flow
from aetherflow.spec.placed import placed_resource

if TYPE_CHECKING:
    from aetherflow.config.secret_fields import SecretField
    from aetherflow.runs.bundle_in_use import OpenBundle
    from aetherflow.runs.chosen_executors import Choices


class CheckedFlow(msgspec.Struct, frozen=True):
    """A flow, planned and checked; run it only if `errors` is empty.

    Attributes:
        references: the diagnostics about things that the flow refers to: step types, connectors,
            resources, plugins; the others are about the flow itself.
        unset: the diagnostics about variables that a resource needs and that are not set.
        is_as_written: whether the plan is exactly what the file says; False if parts of it were guessed.
        bundle: where the flow comes from, if it comes from a bundle.
        restrictions: what the mode forbids.
        secret_fields: the fields of resources whose secrets must be fetched or decoded.
        executors: those that the flow or the settings name, but for `local`.
        named_executor: what the command named (`--executor`); empty: nothing.
    """

    plan: Plan
    environment: Environment
    profiles: dict[str, ProfileSpec] | None
    redactor: Redactor
    registry: Registry
    diagnostics: list[Diagnostic]
    references: frozenset[Diagnostic] = frozenset()
    unset: frozenset[Diagnostic] = frozenset()
    is_as_written: bool = True
    bundle: BundleUse | None = None
    restrictions: Restrictions = Restrictions()
    secret_fields: tuple[SecretField, ...] = ()
    executors: Choices = {}
    named_executor: str = ""

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that forbid a run."""
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def flow_errors(self) -> list[Diagnostic]:
        """The errors in the flow itself, not in the files and types that it refers to."""
        return [d for d in self.errors if d not in self.references]

    def step_type(self, name: str) -> StepType:
        """Return a step type, also one that only the inputs of a step name when it runs.

        Raises:
            ConfigError: there is none of that name, or it cannot be imported.
        """
        return self.plan.step_types.get(name) or self.registry.step_type(name)

    def raise_if_guessed(self) -> None:
        """Raise if parts of the flow file had to be guessed; errors in what it refers to are ignored.

        Raises:
            InvalidInput: with all diagnostics.
        """
        if not self.is_as_written:
            raise InvalidInput(self.diagnostics)

    def raise_if_invalid(self) -> None:
        """Refuse a flow with errors.

        Raises:
            InvalidInput: with all diagnostics, warnings too.
        """
        if self.errors:
            raise InvalidInput(self.diagnostics)


def load_checked_flow(
    flow: Path,
    process_env: Mapping[str, str],
    bundle: OpenBundle | None = None,
    given: Mapping[tuple[str, str], object] | None = None,
    *,
    job: str = "",
    text: bytes = b"",
    executor: str = "",
) -> CheckedFlow:
    """Load, plan and check a flow.

    Args:
        flow: the flow file; one of a bundle is found by `bundle.flow_file`.
        process_env: what the environment of the run begins with.
        bundle: the bundle that the flow is in.
        given: types beside those that are installed, by what they are and their name: those of a test.
        job: of the `on_late` steps of a scheduler file, only those of this item.
        text: is read instead of what the file has now.
        executor: where steps run if neither they nor their jobs say it, whatever flow and settings say.

    Raises:
        InvalidInput: the file cannot be read as a flow at all.
        ConfigError: a setting, the profiles file or the secrets provider cannot be used.
    """
    loaded, found = read_flow(flow, job, text)
    if loaded is None:
        raise InvalidInput(found)
    redactor = Redactor()
    with held_back(redactor):
        return _planned_and_checked(flow, loaded, found, process_env, bundle, given, redactor, executor)


def _planned_and_checked(
    flow: Path,
    loaded: FlowDocument,
    found: list[Diagnostic],
    process_env: Mapping[str, str],
    bundle: OpenBundle | None,
    given: Mapping[tuple[str, str], object] | None,
    redactor: Redactor,
    executor: str,
) -> CheckedFlow:
    """Plan and check a flow that was read; see `load_checked_flow`."""
    environment, ignored = _environment_of(flow, process_env, bundle, redactor)
    loaded, environment = _with_executor(executor, loaded, environment)
    loaded = with_defaults(loaded, environment.projects, bundle.root if bundle else None)
    place = place_of(flow)
    environment = with_flow_variables(environment, place)
    settings = environment.settings
    restrictions = bundle.restrictions(settings) if bundle else restrictions_of(settings, (), ())
    plugin_paths = bundle.plugin_paths(settings.mode) if bundle else ()
    registry = registry_of(settings, plugin_paths, redactor, given, environment.steps_folders)
    sink = DiagnosticSink(loaded.document, found, loaded.guesses)
    plan = build_plan(loaded, sink, cache(registry.step_version), cache(registry.known_step_type))
    placed = {name: placed_resource(spec, place.folder) for name, spec in plan.resources.items()}
    plan = msgspec.structs.replace(plan, place=place)
    if bundle is None:
        environment = with_likely_work_root(plan, environment)
    severity: Severity = "error" if settings.validate_env_strict else "warning"
    shapes_of = cache(registry.connector_shapes)
    own = written_resources(placed, shapes_of, sink.written)
    inherited = _inherited(own, bundle, shapes_of)
    profiles = configured_profiles(settings, (*inherited.values(), *own.values()), shapes_of)
    plan = msgspec.structs.replace(plan, resources=inherited | own)
    register_addresses(plan, environment.variables, redactor)
    about_the_flow = len(sink.diagnostics)
    plan = msgspec.structs.replace(plan, step_types=check_flow(plan, registry, sink, inherited))
    of_run = environment, profiles, registry, restrictions, redactor, severity
    secrets: list[SecretField] = []
    unset: list[Diagnostic] = []
    if plan.resources:
        from aetherflow.runs.check_resources import check_resources  # noqa: PLC0415 - not every flow has some

        unset = check_resources(own, sink, *of_run, found_secrets=secrets)
    executors: Choices = {}
    if environment.settings.executor != "local" or loaded.spec.is_placed:
        from aetherflow.runs.chosen_executors import check_executors  # noqa: PLC0415 - most runs are local

        executors, elsewhere = check_executors(loaded.spec, plan, environment, redactor, sink)
        ignored = (*ignored, *elsewhere)
    references = [*registry.diagnostics, *sink.diagnostics[about_the_flow:]]
    check_advice(plan, environment.variables, redactor, sink, severity)
    if sink.diagnostics:
        register_constant_inputs(plan, redactor)
    shown = sink.in_order(redactor.text)
    if bundle is not None:
        in_manifest = DiagnosticSink(bundle.manifest.document)
        for name, spec in inherited.items():
            check_driver(name, spec, registry, in_manifest)
        if inherited:
            unset += check_resources(inherited, in_manifest, *of_run, found_secrets=secrets)
        references += in_manifest.diagnostics
        shown |= in_manifest.in_order(redactor.text)
    return CheckedFlow(
        plan=plan,
        environment=environment,
        profiles=profiles,
        redactor=redactor,
        registry=registry,
        diagnostics=[*ignored, *registry.diagnostics, *shown.values()],  # a broken plugin: why it is unknown
        references=frozenset(shown.get(one, one) for one in references),
        unset=frozenset(shown.get(one, one) for one in unset),
        is_as_written=loaded.guesses is None,
        bundle=bundle.use(flow) if bundle else None,
        restrictions=restrictions,
        secret_fields=tuple(secrets),
        executors=executors,
        named_executor=executor,
    )


def _with_executor(
    name: str, loaded: FlowDocument, environment: Environment
) -> tuple[FlowDocument, Environment]:
    """Let an option of the command win over what the flow and the settings say of where steps run."""
    if not name:
        return loaded, environment
    replace, settings = msgspec.structs.replace, environment.settings
    sources = settings.sources | {"executor": "--executor"}
    spec = replace(loaded.spec, flow=replace(loaded.spec.flow, executor=None))
    changed = replace(settings, executor=name, sources=sources)
    return replace(loaded, spec=spec), replace(environment, settings=changed)


def _environment_of(
    flow: Path, process_env: Mapping[str, str], bundle: OpenBundle | None, redactor: Redactor
) -> tuple[Environment, tuple[Diagnostic, ...]]:
    """Return the environment of a flow with its project, and a warning for each ignored project file."""
    if bundle is not None:
        return bundle.environment(process_env, redactor, flow)
    found = project_of(flow)
    return load_environment(process_env, project=found.project, redactor=redactor), found.ignored


def _inherited(
    own: Mapping[str, ResourceSpec], bundle: OpenBundle | None, shapes_of: ShapesOf
) -> dict[str, ResourceSpec]:
    """Return the resources of the manifest that the flow does not declare itself."""
    if bundle is None:
        return {}
    shared = {name: spec for name, spec in bundle.manifest.resources.items() if name not in own}
    return written_resources(shared, shapes_of, bundle.manifest.document.written)
