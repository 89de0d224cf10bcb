"""Check whether this machine has all that a flow, or any flow, needs, for `doctor`."""

from __future__ import annotations

from importlib.util import find_spec

import msgspec

from aetherflow.admin.access_checks import access_results
from aetherflow.admin.extras import extra_results
from aetherflow.admin.host_checks import NewestTime, folder_result, machine_results, state_results
from aetherflow.admin.project_checks import project_results
from aetherflow.config.environment import Environment
from aetherflow.config.prepared_resource import known_secrets, prepare_resource
from aetherflow.config.resource_check import missing_variables
from aetherflow.config.secret_presence import secret_presence
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import Redactor
from aetherflow.registry import registry_of
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.sdk.checks import CheckResult
from aetherflow.shipped import PLUGIN_EXTRAS
from aetherflow.spec.flow import ResourceSpec
from aetherflow.store.old_database import beside_old
from aetherflow.working_directory import absolute

__all__ = ["CheckResult", "Setting", "check_machine", "check_machine_for_flow", "settings_in_force"]


class Setting(msgspec.Struct, frozen=True):
    """A setting with its current value and where that came from."""

    name: str
    value: str
    source: str


def check_machine_for_flow(checked: CheckedFlow, newest_time: NewestTime) -> list[CheckResult]:
    """Check everything that a run of a flow would need; one problem does not hide the others."""
    results = [
        CheckResult(f"{d.file}:{d.line}:{d.column}", d.severity, f"[{d.code}] {d.message}", d.hint, d.excerpt)
        for d in checked.diagnostics
        if d not in checked.unset  # each is reported with its resource
    ]
    for name, spec in checked.plan.resources.items():
        results += _resource(checked, name, spec)
    results += [*_folders(checked, newest_time), *machine_results(checked.environment)]
    return _masked([*results, *project_results(checked.environment)], checked.redactor)


def check_machine(environment: Environment, redactor: Redactor, newest_time: NewestTime) -> list[CheckResult]:
    """Check what every flow needs: settings, clock, time zones, the shared state database, the extras."""
    settings = environment.settings
    state = beside_old(settings.state_database)
    work_root = absolute(settings.work_root)
    results = state_results(state, newest_time)
    results.append(folder_result("workspace", work_root))
    results += access_results(settings, state, work_root)
    results += [*machine_results(environment), *project_results(environment)]
    return _masked([*results, *_plugins(environment, redactor), *extra_results()], redactor)


def _plugins(environment: Environment, redactor: Redactor) -> list[CheckResult]:
    """Load the plugins, and report each that cannot be loaded."""
    registry = registry_of(environment.settings, redactor=redactor, own=environment.steps_folders)
    paths = [*registry.paths, *(folder for folder in registry.own if folder.is_dir())]
    if not paths:
        return []
    registry.step_names()
    problems = [*registry.diagnostics, *registry.unneeded_problems]
    if not problems:
        return [CheckResult("plugins", "ok", ", ".join(map(str, paths)))]
    return [
        CheckResult("plugins", d.severity, f"{d.file}:{d.line}: [{d.code}] {d.message}", d.hint)
        for d in problems
    ]


def settings_in_force(environment: Environment, redactor: Redactor) -> list[Setting]:
    """Return every setting with its value and source, masked."""
    settings = environment.settings
    return [
        Setting(name, redactor.text(_spelled(name, getattr(settings, name))), source)
        for name, source in settings.sources.items()
    ]


def _spelled(name: str, value: object) -> str:
    """Return a setting as its variable would spell it; JSON profiles may hold secrets and are not shown."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case str() if name == "profiles_json":
            return f"(JSON, {len(value)} characters)"
        case _:
            return str(value)


def _masked(results: list[CheckResult], redactor: Redactor) -> list[CheckResult]:
    mask = redactor.text
    return [
        CheckResult(mask(one.subject), one.state, mask(one.message), mask(one.hint), mask(one.excerpt))
        for one in results
    ]


def _resource(checked: CheckedFlow, name: str, spec: ResourceSpec) -> list[CheckResult]:
    subject, env = f"resource {name}", checked.environment.variables
    try:
        missing = missing_variables(name, spec, checked.profiles, env)
        secrets = known_secrets(prepare_resource(name, spec, checked.profiles), env)
    except AetherFlowError:
        return []  # reported already, as a diagnostic of the flow
    results = [
        CheckResult(
            subject,
            "error",
            f"{one.field} needs the environment variable {one.variable}, which is not set",
            f"export {one.variable}=...",
        )
        for one in missing
    ]
    if not missing:
        results.append(CheckResult(subject, "ok", "all variables are set"))
    for field, reference in secrets.items():
        if reference.provider != "env":  # its variable is one of those above
            found = secret_presence(reference, env)
            path = ".".join(map(str, field))
            results.append(CheckResult(subject, found.state, f"{path}: {found.message}", found.hint))
    return [*results, *_packages(checked, subject, spec)]


def _packages(checked: CheckedFlow, subject: str, spec: ResourceSpec) -> list[CheckResult]:
    """Report the packages that opening a resource needs and that are not installed."""
    driver = spec.connector
    try:
        cls = checked.registry.connector_class(driver)
    except AetherFlowError:
        return []  # reported already, as a diagnostic of the flow
    extra = PLUGIN_EXTRAS.get(cls.__module__.partition(".")[0])
    return [
        CheckResult(
            subject,
            "error",
            f"{driver} needs the package {package!r}, which is not installed",
            f"pip install 'aetherflow[{extra}]'" if extra else f"pip install {package}",
        )
        for package in cls.packages
        if find_spec(package) is None
    ]


def _folders(checked: CheckedFlow, newest_time: NewestTime) -> list[CheckResult]:
    try:
        paths = run_paths_of(checked, None)
    except AetherFlowError as error:
        return [CheckResult("flow", "error", error.message, error.hint)]
    return [
        *state_results(paths.state, newest_time),
        folder_result("workspace", paths.work_root),
        *access_results(checked.environment.settings, paths.state, paths.work_root),
    ]
