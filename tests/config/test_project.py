"""The project file: where it is found, what it gives, whose file counts, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from aetherflow.config import project as projects
from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.flow_defaults import with_defaults
from aetherflow.config.project import check_project, project_here, project_of
from aetherflow.config.settings import Settings
from aetherflow.errors import AetherFlowError, ConfigError, InvalidInput
from aetherflow.spec.flow import RetrySpec
from aetherflow.spec.load import load_flow
from aetherflow.spec.project import MOVED, ProjectSettings


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def environment(
    place: Path,
    project: str,
    env: dict[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Environment:
    """Return the environment of `flow.yaml` in a folder with this project file."""
    write(place, {"aetherflow.yaml": f"version: 1\n{project}", **(files or {})})
    found = project_of(place / "flow.yaml").project
    return load_environment({"HOME": "/home/ann", **(env or {})}, project=found)


def test_the_nearest_file_from_the_flow_upwards_is_the_project(place: Path) -> None:
    write(place, {"a/aetherflow.yaml": "version: 1", "a/b/c/x": "", "aetherflow.yaml": "version: 1"})

    assert project_of(place / "a/b/c/flow.yaml").project.file == "a/aetherflow.yaml"  # type: ignore[union-attr] # found
    assert project_of(Path("flow.yaml")).project.folder == place  # type: ignore[union-attr] # found
    assert project_here().project.file == "aetherflow.yaml"  # type: ignore[union-attr] # found
    assert project_of(place / "a/b/c/flow.yaml", top=place / "a/b").project is None


def test_a_link_to_a_flow_has_the_project_of_the_link(place: Path) -> None:
    write(
        place, {"real/flow.yaml": "", "aetherflow.yaml": "version: 1", "real/aetherflow.yaml": "version: 1"}
    )
    (place / "flow.yaml").symlink_to("real/flow.yaml")

    assert project_of(place / "flow.yaml").project.folder == place  # type: ignore[union-attr] # found


@pytest.mark.parametrize("key", ["flow: {id: f}\njobs: []", "items: []", "bundle: {}"])
def test_another_kind_of_file_that_is_called_so_is_no_project(place: Path, key: str) -> None:
    write(place, {"a/aetherflow.yaml": f"version: 1\n{key}", "aetherflow.yaml": "version: 1"})

    assert project_of(place / "a/flow.yaml").project.folder == place  # type: ignore[union-attr] # found


def test_a_file_of_another_user_is_ignored_and_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, {"a/aetherflow.yaml": "version: 1", "aetherflow.yaml": "version: 1", "a/flow.yaml": ""})
    owners = {place / "a/aetherflow.yaml": 4242, place / "a/flow.yaml": 77}
    monkeypatch.setattr(projects, "_owner", lambda file: owners.get(file, os.geteuid()))

    found = project_of(place / "a/flow.yaml")
    assert found.project is not None
    assert found.project.folder == place
    assert [(d.code, d.severity, d.file) for d in found.ignored] == [
        ("AF160", "warning", "a/aetherflow.yaml")
    ]
    assert "uid 4242" in found.ignored[0].message

    owners[place / "a/flow.yaml"] = 4242  # who owns the flow may own its project
    assert project_of(place / "a/flow.yaml").ignored == ()


def allowed(wanted: Any) -> set[object]:
    """Return the choices and simple types of a type; a path is a text in a file."""
    if isinstance(wanted, type):
        return set() if wanted is type(None) else {str if wanted is Path else wanted}
    if get_origin(wanted) is Literal:
        return set(get_args(wanted))
    parts = get_args(wanted)[:1] if hasattr(wanted, "__metadata__") else get_args(wanted)
    return {choice for part in parts for choice in allowed(part)}


def test_a_link_that_leads_nowhere_is_an_error_and_one_of_another_user_is_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "aetherflow.yaml").symlink_to("gone.yaml")
    with pytest.raises(InvalidInput, match=r"AF162.*a link to gone\.yaml, which does not exist"):
        project_of(place / "flow.yaml")
    (place / "gone.yaml").symlink_to("aetherflow.yaml")  # a loop
    with pytest.raises(InvalidInput, match="AF162"):
        project_of(place / "flow.yaml")

    os.lchown(place / "aetherflow.yaml", 4711, 4711) if os.geteuid() == 0 else None
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    (place / "flow.yaml").write_text("")
    if (place / "aetherflow.yaml").lstat().st_uid not in (0, (place / "flow.yaml").stat().st_uid):
        assert project_of(place / "flow.yaml").project is None


def test_settings_have_the_names_and_types_of_the_variables() -> None:
    theirs = {field.name: allowed(field.type) for field in msgspec.structs.fields(Settings)}
    own = {field.name: allowed(field.type) for field in msgspec.structs.fields(ProjectSettings)}

    assert own == {name: types for name, types in theirs.items() if name not in {"sources", *MOVED}}


def test_what_a_project_gives_has_its_place_as_origin(place: Path) -> None:
    text = """\
settings:
  log_level: DEBUG
  strict_sandbox: false
  state_root: state
  secrets_path: secret.py
  metrics_textfile: m.prom
profiles: conf/profiles.yaml
plugin_paths: [one, ~]
"""
    files = {"conf/profiles.yaml": "{}", "secret.py": "def decode(x): return x", "one/x.py": ""}
    text = text.replace("~", f"{place}/one/x.py")
    found = environment(place, text, files=files).settings

    assert (found.log_level, found.strict_sandbox) == ("DEBUG", False)
    assert found.state_root == place / "state"
    assert found.work_root == place / "state" / "work"
    assert found.secrets_path == place / "secret.py"
    assert found.metrics_textfile == place / "m.prom"
    assert found.profiles_file == place / "conf/profiles.yaml"
    assert found.plugin_paths == (place / "one", place / "one/x.py")
    assert found.sources["log_level"] == "aetherflow.yaml:3:3"
    assert found.sources["profiles_file"] == "aetherflow.yaml:8:1"
    assert found.sources["plugin_paths"] == "aetherflow.yaml:9:1"
    assert found.sources["log_format"] == "default"


def test_the_environment_wins_over_the_project_and_the_project_over_a_module(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(place))
    module = "SETTINGS = {'log_level': 'ERROR', 'log_format': 'json', 'file_access': 'group'}"
    text = "settings: {log_level: DEBUG, log_format: text, settings_module: of_project}\n"
    found = environment(
        place, text, {"AETHERFLOW_LOG_LEVEL": "WARNING"}, files={"of_project.py": module}
    ).settings

    assert (found.log_level, found.log_format, found.file_access) == ("WARNING", "text", "group")
    assert found.sources["log_level"] == "environment"
    assert found.sources["file_access"] == "settings module of_project"


@pytest.mark.parametrize(
    ("variable", "value", "unset"),
    [
        ("AETHERFLOW_PROFILES_JSON", "{}", "profiles_file"),
        ("AETHERFLOW_SECRETS_PATH", "own.py", "secrets_module"),
    ],
)
def test_what_the_environment_says_another_way_replaces_the_project(
    place: Path, variable: str, value: str, unset: str
) -> None:
    text = (
        "settings: {secrets_module: nowhere}\nprofiles: p.yaml\n"
        if "SECRETS" in variable
        else "profiles: p.yaml\n"
    )
    found = environment(
        place, text, {variable: value}, files={"p.yaml": "{}", "own.py": "def decode(x): return x"}
    ).settings

    assert getattr(found, unset) is None


def test_variables_of_files_are_below_the_environment_and_dotenv_is_above_the_others(place: Path) -> None:
    files = {
        "team.env": "A=team\nB=team\nC=team\nD=${C} and ${A}\n",
        ".env": "B=mine\nC=mine\nE=${A}/${B}\n",
        "more.json": '{"X": "json"}',
    }
    more = "{path: more.json, type: json, prefix: P_}, {path: no.env, optional: true}"
    text = f"env_files: [team.env, {more}]\ndotenv: true\n"
    found = environment(place, text, {"C": "process"}, files=files)

    assert {name: found.variables[name] for name in ("A", "B", "C", "D", "E", "P_X")} == {
        "A": "team",
        "B": "mine",
        "C": "process",
        "D": "process and team",
        "E": "team/mine",
        "P_X": "json",
    }
    assert found.origins["C"] == "environment"
    assert found.origins["A"] == "env file team.env (aetherflow.yaml:2:13)"
    assert found.origins["B"] == "env file .env (aetherflow.yaml:3:1)"


def test_files_of_the_environment_win_over_those_of_the_project(place: Path) -> None:
    files = {".env": "A=project\nB=project", "other.env": "A=other"}
    env = {"AETHERFLOW_ENV_FILES_JSON": '[{"path": "other.env"}]'}
    found = environment(place, "dotenv: true\n", env, files=files)

    assert (found.variables["A"], found.variables["B"]) == ("other", "project")


def test_dotenv_is_read_only_if_it_is_wanted_and_may_be_absent(place: Path) -> None:
    assert "A" not in environment(place, "", files={".env": "A=1"}).variables
    assert environment(place, "dotenv: night.env\n", files={"night.env": "A=2"}).variables["A"] == "2"
    (place / ".env").unlink()
    assert "A" not in environment(place, "dotenv: true\n").variables


def test_a_setting_in_dotenv_wins_over_settings_and_its_path_starts_at_the_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {".env": "AETHERFLOW_LOG_LEVEL=ERROR\nAETHERFLOW_PLUGIN_PATHS=a, /b\nAETHERFLOW_STATE_ROOT=s\n"}
    write(place, {"elsewhere/x": ""})
    monkeypatch.chdir(place / "elsewhere")
    found = environment(place, "settings: {log_level: DEBUG}\ndotenv: true\n", files=files).settings

    assert found.log_level == "ERROR"
    assert found.sources["log_level"].startswith("env file .env (")
    assert found.plugin_paths == (place / "a", Path("/b"))
    assert found.state_root == place / "s"


FLOW = "version: 1\nflow: {id: f%s}\njobs: [{id: j, steps: [{id: s, type: check_items}]}]\n"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", (RetrySpec(max_attempts=3), 60.0, "{place}/work", "never")),
        (", timeout_seconds: 5", (RetrySpec(max_attempts=3), 5.0, "{place}/work", "never")),
        (", retry: {backoff_seconds: 1}", (RetrySpec(backoff_seconds=1), 60.0, "{place}/work", "never")),
        (
            ", workspace: {cleanup_policy: on_success}",
            (RetrySpec(max_attempts=3), 60.0, "{place}/work", "on_success"),
        ),
        (", workspace: {root: own}", (RetrySpec(max_attempts=3), 60.0, "own", "never")),
    ],
)
def test_a_key_of_the_flow_wins_over_the_defaults(
    place: Path, own: str, expected: tuple[object, ...]
) -> None:
    workspace = "{root: work, cleanup_policy: never}"
    text = f"defaults: {{retry: {{max_attempts: 3}}, timeout_seconds: 60, workspace: {workspace}}}\n"
    write(place, {"flow.yaml": FLOW % own})
    projects_of_flow = environment(place, text).projects

    flow = with_defaults(load_flow(place / "flow.yaml"), projects_of_flow).spec.flow
    found = (flow.retry, flow.timeout_seconds, flow.workspace.root, flow.workspace.cleanup_policy)
    assert found == tuple(str(part).format(place=place) if "{" in str(part) else part for part in expected)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/srv/w", "/srv/w"),
        ("~/w", "~/w"),
        ("{{env.W}}/w", "{{env.W}}/w"),
        ("w/{{env.W}}", "{place}/w/{{env.W}}"),
    ],
)
def test_a_default_root_starts_at_the_project(place: Path, root: str, expected: str) -> None:
    write(place, {"flow.yaml": FLOW % ""})
    projects_of_flow = environment(place, f"defaults: {{workspace: {{root: '{root}'}}}}\n").projects

    flow = with_defaults(load_flow(place / "flow.yaml"), projects_of_flow).spec.flow
    assert flow.workspace.root == expected.replace("{place}", str(place))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "setings: {}",
            "2:1: error[AF111]: unknown key 'setings' in the project file (did you mean 'settings'?)",
        ),
        (
            "log_level: DEBUG",
            "2:1: error[AF111]: unknown key 'log_level' in the project file (it belongs under `settings:`)",
        ),
        (
            "timezone: UTC",
            "2:1: error[AF111]: unknown key 'timezone' in the project file (it belongs under `defaults:`)",
        ),
        (
            "env: {A: b}",
            "2:1: error[AF111]: unknown key 'env' in the project file (variables are in files: ",
        ),
        (
            "settings: {log_levl: DEBUG}",
            "2:12: error[AF111]: unknown key 'log_levl' in 'settings' (did you mean 'log_level'?)",
        ),
        (
            "settings: {log_level: LOUD}",
            "2:12: error[AF113]: 'log_level': the text 'LOUD' is not allowed (allowed: CRITICAL, ",
        ),
        (
            "settings: {AETHERFLOW_LOG_LEVEL: DEBUG}",
            (
                "2:12: error[AF161]: 'AETHERFLOW_LOG_LEVEL': settings are written without AETHERFLOW_ here "
                "(write log_level)"
            ),
        ),
        (
            "settings: {plugin_paths: x}",
            (
                "2:12: error[AF161]: 'plugin_paths' is no key of 'settings' in a project file "
                "(write plugin_paths: [FOLDER] beside 'settings')"
            ),
        ),
        (
            "settings: {AETHERFLOW_PROFILES_FILE: x}",
            (
                "2:12: error[AF161]: 'AETHERFLOW_PROFILES_FILE' is no key of 'settings' in a project file "
                "(write profiles: FILE beside 'settings')"
            ),
        ),
        (
            "profiles: profile.yaml",
            "2:1: error[AF162]: there is no PLACE/profile.yaml (did you mean profiles.yaml?)",
        ),
        (
            "env_files: [a.env]",
            "2:13: error[AF162]: there is no PLACE/a.env (correct the path, or remove it)",
        ),
        (
            "plugin_paths: [there, no]",
            "2:23: error[AF162]: there is no PLACE/no (correct the path, or remove it)",
        ),
        ("dotenv: my.env", "2:1: error[AF162]: there is no PLACE/my.env (write true to read .env"),
        (
            "profiles: $HOME/p.yaml",
            (
                "2:1: error[AF141]: the path '$HOME/p.yaml' holds $HOME, which no shell replaces here "
                "(write a path relative to this file, or a whole one; ~ is the home folder)"
            ),
        ),
        (
            "defaults: {workspace: {root: $HOME/w}}",
            "2:24: error[AF141]: the path '$HOME/w' holds $HOME, which no shell replaces here",
        ),
        (
            "defaults: {workspace: {root: ~no-such-user/w}}",
            "2:24: error[AF140]: the path '~no-such-user/w': there is no user 'no-such-user'",
        ),
        ("defaults: {timezone: Europe/Berln}", "2:12: error[AF152]: "),
        (
            "defaults: {retry: {max_attempts: 0}}",
            "2:20: error[AF113]: 'max_attempts': the number 0 is out",
        ),
    ],
)
def test_a_mistake_has_its_place_and_a_hint(place: Path, text: str, told: str) -> None:
    write(place, {"aetherflow.yaml": f"version: 1\n{text}\n", "profiles.yaml": "{}", "there/x.py": ""})

    with pytest.raises(InvalidInput) as raised:
        check_project(Path("aetherflow.yaml"))
    found = [
        f"{d.line}:{d.column}: {d.severity}[{d.code}]: {d.message} ({d.hint})".replace(str(place), "PLACE")
        for d in raised.value.diagnostics
    ]
    assert len(found) == 1
    assert found[0].startswith(told)
    assert raised.value.diagnostics[0].excerpt
    with pytest.raises(AetherFlowError):
        project_of(place / "flow.yaml")


def test_the_zone_of_the_defaults_is_that_of_a_flow_without_one(place: Path) -> None:
    found = environment(place, "defaults: {timezone: Europe/Berlin}\n").projects
    for own, expected in (("", "Europe/Berlin"), (", timezone: Asia/Tokyo", "Asia/Tokyo")):
        write(place, {"flow.yaml": FLOW % own})
        assert with_defaults(load_flow(place / "flow.yaml"), found).spec.flow.timezone == expected


def test_the_project_of_a_bundle_may_not_say_where_state_lives(place: Path) -> None:
    write(place, {"aetherflow.yaml": "version: 1\nsettings: {state_root: s}\n"})
    inside = project_of(place / "flow.yaml").project

    with pytest.raises(
        ConfigError, match=r"aetherflow.yaml:2:12: the project file of a bundle cannot set state_root"
    ):
        load_environment({}, bundle_project=inside)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "settings: {log_level: DEBUG}",
            "in enterprise mode the project file of a bundle cannot set log_level",
        ),
        ("plugin_paths: [p]", "in enterprise mode the project file of a bundle cannot set plugin_paths"),
        ("env_files: [../x.env]", "'../x.env' leaves the bundle"),
        ("dotenv: true", "sets AETHERFLOW_LOG_LEVEL: in enterprise mode a bundle cannot change settings"),
    ],
)
def test_in_enterprise_mode_the_project_of_a_bundle_sets_nothing(place: Path, text: str, told: str) -> None:
    files = {"b/p/x.py": "", "x.env": "", "b/.env": "AETHERFLOW_LOG_LEVEL=DEBUG"}
    write(place, {"b/aetherflow.yaml": f"version: 1\n{text}\n", **files})
    inside = project_of(place / "b/flow.yaml").project

    with pytest.raises(ConfigError) as raised:
        load_environment({}, bundle_project=inside, is_enterprise=True)
    assert told in raised.value.message


def test_the_project_of_a_bundle_wins_over_the_one_of_its_machine(place: Path) -> None:
    machine = "version: 1\nsettings: {log_level: ERROR, work_root: w}\nenv_files: [m.env]\n"
    write(place, {"m/aetherflow.yaml": machine, "m/m.env": "A=machine\nB=machine"})
    write(
        place,
        {
            "b/aetherflow.yaml": "version: 1\nsettings: {log_level: DEBUG}\ndotenv: true\n",
            "b/.env": "A=bundle",
        },
    )
    outside, inside = (project_of(place / name / "flow.yaml").project for name in "mb")
    found = load_environment({}, project=outside, bundle_project=inside)

    assert (found.settings.log_level, found.settings.work_root) == ("DEBUG", place / "m/w")
    assert (found.variables["A"], found.variables["B"]) == ("bundle", "machine")
    assert found.steps_folders == (place / "b/steps", place / "m/steps")
    assert load_environment({"AETHERFLOW_MODE": "enterprise"}, project=outside).steps_folders == ()
