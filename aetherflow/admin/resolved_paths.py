"""List every path that a flow, a scheduler file or the settings lead to, each with what names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from aetherflow.config.env_files import ENV_FILES_VARIABLE, parse_env_files
from aetherflow.config.environment import BUNDLE_ENV_FILE, Environment
from aetherflow.config.settings import PREFIX
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.schedule.item import Schedule
from aetherflow.server.server_settings import server_environment, state_path_of
from aetherflow.spec.project import PROJECT_FILE
from aetherflow.store.filesystem import logs_beside
from aetherflow.store.old_database import beside_old
from aetherflow.working_directory import absolute, working_directory_name
from aetherflow.written_path import written_path


class ResolvedPath(msgspec.Struct, frozen=True):
    """A path as this machine resolves it.

    Attributes:
        name: what it is for.
        path: the absolute path; empty if it cannot be resolved.
        origin: the setting, or the key of a file, that names it; or why it cannot be resolved.
    """

    name: str
    path: str
    origin: str


def paths_for_flow(checked: CheckedFlow) -> list[ResolvedPath]:
    """Return the paths of a flow in the order in which a person looks for them."""
    plan, environment, bundle = checked.plan, checked.environment, checked.bundle
    found = [ResolvedPath("flow file", plan.place.file, "the command line")]
    if bundle is not None:
        root = environment.variables["AETHERFLOW_ACTIVE_DIR"]
        found = [
            ResolvedPath("flow file", plan.place.file, f"bundle {bundle.id}: {bundle.flow}"),
            ResolvedPath("bundle manifest", bundle.manifest, "the command line"),
            ResolvedPath("bundle snapshot", root, f"bundle {bundle.id}"),
        ]
    flow = plan.flow
    state = "flow.state.path" if flow.state.path else _setting(environment, "state_root")
    work = _default_root(checked) or (
        "flow.workspace.root" if flow.workspace.root else _work_root(environment)
    )
    try:
        paths = run_paths_of(checked, None)
    except AetherFlowError as error:
        found.append(ResolvedPath("state and workspace", "", error.message))
    else:
        found += _state(paths.state, state)
        found.append(ResolvedPath("workspace root", str(paths.work_root), work))
    plugins = [(path, "the bundle" if bundle else "the project") for path in checked.registry.paths]
    return _masked([*found, *_of_settings(environment, plugins)], checked.redactor)


def paths_of_settings(environment: Environment, redactor: Redactor) -> list[ResolvedPath]:
    """Return the paths that hold for every flow on this machine."""
    settings = environment.settings
    found = [*_state(beside_old(settings.state_database), _setting(environment, "state_root"))]
    found.append(ResolvedPath("workspace root", str(settings.work_root), _work_root(environment)))
    plugins = [(path, "the project") for path in settings.plugin_paths]
    return _masked([*found, *_of_settings(environment, plugins)], redactor)


def paths_for_schedules(schedules: Sequence[Schedule], process_env: Mapping[str, str]) -> list[ResolvedPath]:
    """Return the paths of scheduler files: their state database, and the files of their items."""
    redactor = Redactor()
    environment = server_environment([one.file for one in schedules], process_env, redactor)
    found = [ResolvedPath("scheduler file", str(absolute(one.file)), "the command line") for one in schedules]
    named = any(one.spec.state.path for one in schedules)
    origin = "state.path" if named else _setting(environment, "state_root")
    try:
        found += _state(state_path_of(schedules, None, process_env), origin)
    except AetherFlowError as error:
        found.append(ResolvedPath("state database", "", error.message))
    for schedule in schedules:
        for item in schedule.items.values():
            if item.manifest is not None:
                found.append(ResolvedPath("bundle manifest", str(absolute(item.manifest)), f"item {item.id}"))
            elif item.flow_file is not None:
                found.append(ResolvedPath("flow file", str(absolute(item.flow_file)), f"item {item.id}"))
    return _masked([*found, *_of_settings(environment, [])], redactor)


def _state(path: Path, origin: str) -> Iterator[ResolvedPath]:
    yield ResolvedPath("state database", str(path), origin)
    yield ResolvedPath("step logs", str(logs_beside(path)), "beside the state database")


def _of_settings(environment: Environment, plugins: Sequence[tuple[Path, str]]) -> Iterator[ResolvedPath]:
    """Yield the files that the settings name, and the plugin paths, which may come from elsewhere too."""
    settings = environment.settings
    for project in environment.projects:
        yield ResolvedPath("project file", str(project.folder / PROJECT_FILE), "the nearest one upwards")
    for folder in filter(Path.is_dir, environment.steps_folders):
        yield ResolvedPath("steps folder", str(folder), f"beside {PROJECT_FILE}")
    if settings.profiles_file:
        yield ResolvedPath("profiles", str(settings.profiles_file), _setting(environment, "profiles_file"))
    yield from _env_files(environment)
    for path, elsewhere in plugins:
        is_set = path in settings.plugin_paths
        yield ResolvedPath(
            "plugin path", str(path), _setting(environment, "plugin_paths") if is_set else elsewhere
        )
    if environment.secrets is not None:
        source = environment.secrets.source
        yield ResolvedPath("secrets provider", source.origin, source.variable)
    for name in ("settings_module", "metrics_module"):
        module = getattr(settings, name)
        if module and (file := _file_of_module(module)):
            yield ResolvedPath(name.replace("_", " "), file, _setting(environment, name))


def _env_files(environment: Environment) -> Iterator[ResolvedPath]:
    for project in environment.projects:
        for entry, place in project.env_files():
            yield ResolvedPath("env file", str(written_path(entry.path, project.folder)), place)
    text = environment.variables.get(ENV_FILES_VARIABLE, "").strip()
    for entry in parse_env_files(text) if text else ():
        path = written_path(entry.path, Path(working_directory_name()))
        yield ResolvedPath("env file", str(path), ENV_FILES_VARIABLE)
    root = Path(environment.variables.get("AETHERFLOW_ACTIVE_DIR", ""))
    for origin in dict.fromkeys(environment.origins.values()):
        if origin.startswith(BUNDLE_ENV_FILE):
            path = written_path(origin.removeprefix(BUNDLE_ENV_FILE), root)
            yield ResolvedPath("env file", str(path), "env_files of the manifest")


def _file_of_module(module: str) -> str:
    from importlib.util import find_spec  # noqa: PLC0415 - few installations have such a module

    spec = find_spec(module)
    return (spec.origin or "") if spec else ""


def _setting(environment: Environment, name: str) -> str:
    source = environment.settings.sources[name]
    return source if source == "default" else f"{PREFIX}{name.upper()}, {source}"


def _default_root(checked: CheckedFlow) -> str:
    """Return the place of the `defaults` that give the flow its root; empty if they do not."""
    root = checked.plan.flow.workspace.root
    for project in checked.environment.projects:
        given = project.defaults().get("workspace")
        text = given.value.get("root") if given else None
        if given and text and root in (text, str(project.folder / text)):
            return f"defaults.workspace.root, {given.origin}"
    return ""


def _work_root(environment: Environment) -> str:
    own = _setting(environment, "work_root")
    return (
        own if environment.settings.sources["work_root"] != "default" else _setting(environment, "state_root")
    )


def _masked(paths: list[ResolvedPath], redactor: Redactor) -> list[ResolvedPath]:
    mask: Callable[[str], str] = redactor.text
    return [ResolvedPath(one.name, mask(one.path), mask(one.origin)) for one in paths]
