"""Types by name: what ships, what plugins bring, and what is said when one is missing or broken."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from aetherflow import registry
from aetherflow._version import __version__
from aetherflow.config.settings import load_settings
from aetherflow.errors import ConfigError, MissingExtra
from aetherflow.plugins.entry_points import entries_of
from aetherflow.redaction import Redactor
from aetherflow.registry import STEP as STEP_TYPE
from aetherflow.registry import Registry, registry_of
from aetherflow.sdk.connector import Connector

STEP = """
from typing import Any
from aetherflow import StepContext, step

@step("{name}")
async def {attribute}(context: StepContext, inputs: dict[str, Any]) -> None:
    '''Do nothing.'''
"""

NOWHERE_ELSE = (
    "AetherFlow, the installed packages (AETHERFLOW_PLUGIN_PATHS is not set; there is no aetherflow.yaml, "
    "whose folder steps/ could have it)"
)


class Plugins:
    """Writes distributions to a folder that is on `sys.path` for the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, dist: str, entries: str, *, module: str = "", source: str = "") -> None:
        """Install a distribution with these entry points, and a module of this source."""
        info = self.folder / f"{dist}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entries)
        if module:
            (self.folder / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        entries_of.cache_clear()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    entries_of.cache_clear()
    yield Plugins(tmp_path)
    entries_of.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("made_up_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", sorted(registry.STEPS))
def test_every_step_type_that_ships_is_there_under_its_own_name(name: str) -> None:
    assert Registry().step_type(name).name == name
    assert Registry().step_type(name).summary


@pytest.mark.parametrize("name", sorted(registry.CONNECTORS))
def test_every_connector_that_ships_is_there(name: str) -> None:
    assert issubclass(Registry().connector_class(name), Connector)
    assert Registry().connector_class(name).__doc__


def test_the_table_says_what_the_entry_points_of_the_wheel_say() -> None:
    for group, table in (
        ("aetherflow.steps", registry.STEPS),
        ("aetherflow.connectors", registry.CONNECTORS),
    ):
        own = {e.name: e.value for e in entry_points(group=group) if e.dist and e.dist.name == "aetherflow"}
        assert own == dict(table)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("check_itmes", "did you mean 'check_items'?"), ("external.proces", "did you mean 'external.process'?")],
)
def test_an_unknown_step_type_is_reported_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Registry().step_type(name)
    assert (raised.value.code, raised.value.message) == ("AF540", f"unknown step type {name!r}")
    assert raised.value.hint == f"{hint} looked in: {NOWHERE_ELSE}"
    assert raised.value.exit_code == 2


def test_an_unknown_name_like_no_other_is_reported_with_all_that_is_installed() -> None:
    with pytest.raises(ConfigError, match="unknown connector 'ftp:gopher'") as raised:
        Registry().connector_class("ftp:gopher")
    names = ", ".join(Registry().connector_names())
    assert raised.value.hint == f"installed: {names}; looked in: {NOWHERE_ELSE}"


def test_a_plugin_is_found_by_its_entry_point_and_listed(plugins: Plugins) -> None:
    source = STEP.format(name="made_up.step", attribute="made_up")
    plugins.add(
        "made-up",
        "[aetherflow.steps]\nmade_up.step = made_up_plugin:made_up\n",
        module="made_up_plugin",
        source=source,
    )
    assert "made_up.step" in Registry().step_names()
    assert "made_up_plugin" not in sys.modules
    assert Registry().step_type("made_up.step").summary == "Do nothing."
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("made_up.stap")
    assert raised.value.hint == f"did you mean 'made_up.step'? looked in: {NOWHERE_ELSE}"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def broken(:", "SyntaxError: invalid syntax (made_up_broken.py, line 1)"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys\nsys.nowhere", "AttributeError: module 'sys' has no attribute 'nowhere'"),
        ("from os import nowhere", "ImportError: cannot import name 'nowhere' from 'os'"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named(plugins: Plugins, source: str, problem: str) -> None:
    plugins.add(
        "broken-plugin", "[aetherflow.steps]\nb = made_up_broken:b\n", module="made_up_broken", source=source
    )
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("b")
    assert raised.value.code == "AF542"
    assert not isinstance(raised.value, MissingExtra)
    assert raised.value.message.startswith(
        f"the step type 'b' of broken-plugin cannot be imported from made_up_broken: {problem}"
    )
    assert "plugin" in raised.value.hint


def test_a_plugin_without_what_its_entry_point_names_is_reported(plugins: Plugins) -> None:
    plugins.add(
        "p", "[aetherflow.steps]\nb = made_up_empty:Group.b\n", module="made_up_empty", source="x = 1"
    )
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("b")
    assert raised.value.message == "the step type 'b' of p: made_up_empty has no 'Group.b'"


def test_what_is_no_step_type_and_no_connector_is_refused(plugins: Plugins) -> None:
    entries = "[aetherflow.steps]\nb = made_up_wrong:b\n[aetherflow.connectors]\nx:y = made_up_wrong:b\n"
    plugins.add("p", entries, module="made_up_wrong", source="def b(): ...")
    with pytest.raises(ConfigError, match="what it names is a function") as step:
        Registry().step_type("b")
    with pytest.raises(ConfigError, match=r"is no subclass of aetherflow\.Connector") as connector:
        Registry().connector_class("x:y")
    assert (step.value.code, connector.value.code) == ("AF541", "AF541")


def test_two_plugins_that_want_the_same_name_are_both_named(plugins: Plugins) -> None:
    plugins.add("one-plugin", "[aetherflow.steps]\nb = made_up_one:b\n")
    plugins.add("other-plugin", "[aetherflow.steps]\nb = made_up_other:b\n")
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("b")
    assert raised.value.code == "AF546"
    assert raised.value.message == (
        "the step type 'b' is registered more than once: by one-plugin and other-plugin"
    )


def test_a_plugin_does_not_replace_what_ships(plugins: Plugins) -> None:
    plugins.add("p", "[aetherflow.steps]\ncheck_items = made_up_evil:b\n")
    assert Registry().step_type("check_items").run.__module__ == "aetherflow.steps.check_items"


def test_a_first_party_step_without_its_package_says_which_extra_brings_it(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "CONNECTORS", {"db:made_up": "made_up_db:Connector"})
    monkeypatch.setattr(registry, "PLUGIN_EXTRAS", {"made_up_db": "db"})
    plugins.add("p", "", module="made_up_db", source="import not_installed.deep")
    with pytest.raises(MissingExtra) as raised:
        Registry().connector_class("db:made_up")
    assert raised.value.message == (
        "the connector 'db:made_up' needs the package 'not_installed', which is not installed"
    )
    assert raised.value.hint == "pip install 'aetherflow[db]'"


def test_a_wheel_without_its_own_plugin_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("aetherflow_db")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aetherflow_db", None)
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("db_extract")
    assert not isinstance(raised.value, MissingExtra)
    assert "cannot be imported from aetherflow_db.extract" in raised.value.message


def test_the_version_of_a_shipped_type_is_known_without_looking_at_distributions() -> None:
    entries_of.cache_clear()
    assert Registry().step_version("check_items") == f"aetherflow {__version__.rpartition('.')[0]}"
    assert entries_of.cache_info().misses == 0


def test_the_version_of_a_plugin_s_type_is_that_of_its_distribution(plugins: Plugins) -> None:
    plugins.add("made-up", "[aetherflow.steps]\nmade_up_count = made_up_none:count\n")
    assert Registry().step_version("made_up_count") == "made-up 1.0"
    assert Registry().step_version("made_up_other") == ""


LEGACY = """
from aetherflow.core.api import ConnectorBase, Step, register_connector, register_step

def register():
    @register_step("made_up.old")
    class Old(Step):
        '''Do it the old way.'''
        def run(self):
            return {}

    register_connector("made_up", "old")(ConnectorBase)
"""


def test_a_wheel_of_the_old_kind_registers_when_it_is_asked(plugins: Plugins) -> None:
    plugins.add(
        "old-plugin", "[aetherflow.plugins]\np = made_up_old:register\n", module="made_up_old", source=LEGACY
    )
    types = Registry()

    assert types.step_type("made_up.old").summary == "Do it the old way."
    assert issubclass(types.connector_class("made_up:old"), Connector)
    assert types.source(STEP_TYPE, "made_up.old") == "old-plugin"
    assert types.step_version("made_up.old") == "old-plugin 1.0"
    assert "made_up.old" in Registry().step_names()
    assert types.diagnostics == []


def test_a_broken_wheel_of_the_old_kind_is_reported_and_the_others_are_used(plugins: Plugins) -> None:
    plugins.add(
        "old-plugin", "[aetherflow.plugins]\np = made_up_old:register\n", module="made_up_old", source=LEGACY
    )
    source = "def register():\n    raise RuntimeError('no licence')\n"
    plugins.add(
        "broken",
        "[aetherflow.plugins]\nb = made_up_broken:register\n",
        module="made_up_broken",
        source=source,
    )
    strict, loose = Registry(), Registry(strict=False)

    assert strict.step_type("made_up.old").name == loose.step_type("made_up.old").name
    (problem,) = strict.diagnostics
    assert (problem.code, problem.severity, problem.line) == ("AF582", "error", 2)
    assert problem.file == str(plugins.folder / "made_up_broken.py")
    assert [d.severity for d in loose.diagnostics] == ["warning"]


def test_a_file_in_a_plugin_path_does_not_replace_what_is_installed(plugins: Plugins, tmp_path: Path) -> None:
    source = STEP.format(name="made_up.step", attribute="made_up")
    plugins.add(
        "made-up",
        "[aetherflow.steps]\nmade_up.step = made_up_plugin:made_up\n",
        module="made_up_plugin",
        source=source,
    )
    (tmp_path / "path").mkdir()
    (tmp_path / "path/a.py").write_text(source)
    types = Registry([tmp_path / "path"])

    assert types.step_type("made_up.step").run.__module__ == "made_up_plugin"
    (problem,) = types.diagnostics
    assert (
        problem.message == "the step type 'made_up.step' is registered more than once: by made-up, and here"
    )
    assert problem.file == str(tmp_path / "path/a.py")


def test_a_decorator_that_is_used_wrongly_in_a_wheel_is_reported_with_its_line(plugins: Plugins) -> None:
    source = "from aetherflow import step\n\n@step('b')\ndef b(): ...\n"
    plugins.add("p", "[aetherflow.steps]\nb = made_up_wrong:b\n", module="made_up_wrong", source=source)
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("b")
    assert raised.value.code == "AF547"
    assert f"{plugins.folder}/made_up_wrong.py:3: step 'b': the function takes" in raised.value.message


def test_the_line_of_a_broken_wheel_is_reported(plugins: Plugins) -> None:
    plugins.add(
        "p", "[aetherflow.steps]\nb = made_up_line:b\n", module="made_up_line", source="x = 1\n1 / 0\n"
    )
    with pytest.raises(ConfigError) as raised:
        Registry().step_type("b")
    assert raised.value.message.endswith(
        f"ZeroDivisionError: division by zero at {plugins.folder}/made_up_line.py:2"
    )


def test_enterprise_mode_inherits_no_plugin_paths(tmp_path: Path) -> None:
    env = {"AETHERFLOW_PLUGIN_PATHS": str(tmp_path), "AETHERFLOW_PLUGIN_STRICT": "false", "HOME": "/nowhere"}
    own = tmp_path / "own"

    fast = registry_of(load_settings(env), [own])
    enterprise = registry_of(load_settings(env | {"AETHERFLOW_MODE": "enterprise"}), [own])

    assert (fast.paths, fast.strict) == ((tmp_path, own), False)
    assert enterprise.paths == (own,)


def test_a_secret_that_a_wheel_raises_is_masked(plugins: Plugins) -> None:
    source = "raise RuntimeError('login with canary-12345')"
    plugins.add("p", "[aetherflow.steps]\nb = made_up_secret:b\n", module="made_up_secret", source=source)
    with pytest.raises(ConfigError) as raised:
        Registry(redactor=Redactor(("canary-12345",))).step_type("b")
    assert "RuntimeError: login with *** at " in raised.value.message
