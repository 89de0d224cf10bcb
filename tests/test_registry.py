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
from aetherflow.errors import ConfigError, MissingExtra
from aetherflow.plugins.installed import entries_of
from aetherflow.registry import Registry

STEP = """
from typing import Any
from aetherflow import StepContext, step

@step("{name}")
async def {attribute}(context: StepContext, inputs: dict[str, Any]) -> None:
    '''Do nothing.'''
"""


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
    assert Registry().connector_class(name).__name__.endswith("Connector")


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
def test_an_unknown_step_type_is_told_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Registry().step_type(name)
    assert (raised.value.code, raised.value.message) == ("AF540", f"unknown step type {name!r}")
    assert raised.value.hint == hint
    assert raised.value.exit_code == 2


def test_an_unknown_name_like_no_other_is_told_with_all_that_is_installed() -> None:
    with pytest.raises(ConfigError, match="unknown connector 'ftp:gopher'") as raised:
        Registry().connector_class("ftp:gopher")
    assert raised.value.hint == f"installed: {', '.join(Registry().connector_names())}"


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
    assert raised.value.hint == "did you mean 'made_up.step'?"


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


def test_a_plugin_without_what_its_entry_point_names_is_told(plugins: Plugins) -> None:
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
    monkeypatch.setattr(registry, "EXTRAS", {"made_up_db": "db"})
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
