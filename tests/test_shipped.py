"""What ships is in one table; pyproject.toml says the same."""

from __future__ import annotations

import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aetherflow.shipped import PLUGIN_EXTRAS, SHIPPED, Shipped, targets

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "__init__.py").exists())


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one.name)
def test_a_line_of_the_table_names_what_is_there(one: Shipped) -> None:
    module, _, attribute = one.target.partition(":")
    found = getattr(import_module(module), attribute)
    if one.kind == "step type":
        assert found.name == one.name
    else:
        assert inspect.isclass(found)


def test_no_name_is_there_twice() -> None:
    assert len({(one.kind, one.name) for one in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("aetherflow.steps", "step type"),
        ("aetherflow.connectors", "connector"),
        ("aetherflow.observers", "observer"),
        ("aetherflow.executors", "executor"),
    ],
)
def test_the_entry_points_of_the_wheel_are_those_of_the_table(group: str, kind: Any) -> None:
    assert PROJECT["project"]["entry-points"][group] == targets(kind)


def test_every_plugin_that_ships_is_packed_checked_and_has_its_extra() -> None:
    tool, extras = PROJECT["tool"], PROJECT["project"]["optional-dependencies"]
    assert sorted(PLUGIN_EXTRAS) == PLUGINS
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == [
        "aetherflow",
        *(f"plugins/{name}" for name in PLUGINS),
    ]
    assert {one.target.partition(".")[0] for one in SHIPPED} <= {"aetherflow", *PLUGINS}
    assert set(PLUGIN_EXTRAS.values()) <= extras.keys()
    assert extras["all"] == [f"aetherflow[{','.join(sorted(extras.keys() - {'all', 'dev', 'kubernetes'}))}]"]
    assert "plugins" in tool["mypy"]["mypy_path"]


def test_the_import_contracts_know_every_plugin() -> None:
    contracts = PROJECT["tool"]["importlinter"]
    assert contracts["root_packages"] == ["aetherflow", *PLUGINS]
    (public,) = (one for one in contracts["contracts"] if one["name"].startswith("plugins use only"))
    assert set(public["source_modules"]) == {"aetherflow.compat", *PLUGINS}


def test_plugins_may_import_only_public_rooms() -> None:
    (public,) = (
        one
        for one in PROJECT["tool"]["importlinter"]["contracts"]
        if one["name"].startswith("plugins use only")
    )
    packages = {
        path.stem
        for path in (ROOT / "aetherflow").iterdir()
        if path.suffix == ".py" or any(path.glob("*.py"))
    }
    private = packages - {
        "__init__",
        "__main__",
        "__pycache__",
        "_version",
        "core",
        "data_files",
        "compat",
        "testing",
        "py",
    }
    assert {name.removeprefix("aetherflow.") for name in public["forbidden_modules"]} == private
