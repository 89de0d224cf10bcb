"""The `steps` folder of a project: found without a setting, loaded when a type is not known, not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import ConfigError
from aetherflow.registry import STEP, Registry
from tests.plugins.plugin_sources import step_source


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    return folder


def test_a_file_of_the_folder_has_a_step_type_and_may_import_its_neighbour(steps: Path) -> None:
    (steps / "hello.py").write_text("from words import value\n" + step_source("hello", "value"))
    (steps / "words.py").write_text("value = 'hello'")
    registry = Registry(own=[steps])

    assert registry.step_type("hello")(None, {}) == "hello"
    assert registry.source(STEP, "hello").startswith(f"{steps}/hello.py:")
    assert registry.step_version("hello").startswith("hello.py ")


def test_nothing_of_it_is_loaded_for_a_type_that_ships(steps: Path) -> None:
    (steps / "a.py").write_text(f"open({str(steps / 'ran')!r}, 'w').close()")
    registry = Registry(own=[steps])

    registry.step_type("check_items")
    assert not (steps / "ran").exists()


def test_a_broken_file_counts_only_when_a_type_is_not_found(steps: Path) -> None:
    (steps / "broken.py").write_text("x = (")
    (steps / "hello.py").write_text(step_source("hello"))
    registry = Registry(own=[steps])

    registry.step_type("hello")
    assert registry.diagnostics == []
    assert [(d.code, d.severity) for d in registry.unneeded_problems] == [("AF581", "warning")]

    with pytest.raises(ConfigError) as raised:
        registry.step_type("quite_another")
    assert raised.value.hint.startswith(
        f"perhaps it is in the plugin that cannot be loaded: {steps}/broken.py:1"
    )
    found = [(d.code, d.severity, d.file, d.line, d.column) for d in registry.diagnostics]
    assert found == [("AF581", "error", f"{steps}/broken.py", 1, 5)]
    assert registry.unneeded_problems == []


def test_a_name_that_a_plugin_path_has_too_is_reported(steps: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(step_source("hello"))
    (steps / "hello.py").write_text(step_source("hello"))
    registry = Registry([tmp_path / "mine.py"], own=[steps])

    registry.step_type("hello")
    assert [d.code for d in registry.diagnostics] == ["AF546"]
    assert registry.source(STEP, "hello").startswith(str(tmp_path / "mine.py"))


def test_an_unknown_type_says_where_it_was_looked_for(steps: Path, tmp_path: Path) -> None:
    registry = Registry([tmp_path / "plugns"], own=[steps, tmp_path / "other" / "steps"])

    with pytest.raises(ConfigError) as raised:
        registry.step_type("check_item")
    places = f"{tmp_path}/plugns (does not exist), {steps}, {tmp_path}/other/steps (does not exist)"
    assert raised.value.hint == (
        f"did you mean 'check_items'? looked in: AetherFlow, the installed packages, {places}"
    )
