"""Plugin paths: what is loaded, under which names, and what is said of what cannot be."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aetherflow.errors import ConfigError, Diagnostic
from aetherflow.plugins import plugin_files as files
from aetherflow.registry import CONNECTOR, STEP, Registry
from tests.plugins.plugin_sources import CONNECTOR_CLASS, step_source


def write(folder: Path, sources: Mapping[str, str]) -> Path:
    """Write files below a folder and return it."""
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def reported(registry: Registry, folder: Path) -> list[str]:
    """Return the problems as a person sees them, without the folder and the lines of the files."""
    problems = [replace(one, excerpt="") for one in registry.diagnostics]
    return [str(one).replace(f"{folder}/", "").replace("\n    ", " ") for one in problems]


def test_the_line_of_a_broken_file_is_shown(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.py": "import os\n\nif True:\n    password = 'hunter2' + 1\n"})

    registry = Registry([folder])
    registry.step_names()

    (problem,) = registry.diagnostics
    assert problem.excerpt == "  4 |     password = '***' + 1\n    |     ^"


def call(registry: Registry, name: str) -> Any:
    """Call a step that needs no context."""
    return registry.step_type(name)(None, {})


def test_a_file_a_folder_its_subfolders_and_packages_are_loaded(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "one.py": step_source("in_file"),
            "folder/two.py": step_source("in_folder"),
            "folder/steps/three.py": step_source("in_subfolder"),
            "folder/pack/__init__.py": step_source("in_package"),
            "folder/pack/four.py": step_source("in_module_of_package"),
            "folder/pack/deeper/__init__.py": "",
            "folder/pack/deeper/five.py": CONNECTOR_CLASS.format(name="made:up"),
        },
    )
    registry = Registry([tmp_path / "one.py", tmp_path / "folder"])
    shipped = set(Registry().step_names())

    assert sorted({*registry.step_names()} - shipped) == [
        "in_file",
        "in_folder",
        "in_module_of_package",
        "in_package",
        "in_subfolder",
    ]
    assert registry.connector_class("made:up").__name__ == "Made"
    assert registry.diagnostics == []


def test_what_begins_with_an_underscore_or_a_dot_and_tests_are_left_alone(tmp_path: Path) -> None:
    broken = "raise RuntimeError('loaded')"
    names = [
        "_own.py",
        ".hidden.py",
        "_folder/x.py",
        ".git/x.py",
        "tests/test_x.py",
        "test_y.py",
        "conftest.py",
    ]
    write(
        tmp_path,
        {**dict.fromkeys([*names, "__pycache__/z.py", "notes.txt"], broken), "a.py": step_source("a")},
    )
    registry = Registry([tmp_path])

    assert call(registry, "a") == "a"
    assert registry.diagnostics == []


def test_nothing_is_loaded_for_a_type_that_ships(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": f"open({str(tmp_path / 'ran')!r}, 'w').close()"})
    registry = Registry([tmp_path])

    registry.step_type("check_items")
    registry.connector_class("db:sqlite3")
    assert registry.step_version("external.process").startswith("aetherflow")

    assert not (tmp_path / "ran").exists()
    assert registry.diagnostics == []
    registry.step_names()
    assert (tmp_path / "ran").exists()


def test_files_find_each_other_by_name_also_late_and_nobody_else_finds_them(tmp_path: Path) -> None:
    late = """
def late():
    from helper_of_plugin import value
    import steps.shared
    return steps.shared.value
"""
    body = step_source("{name}", "[helper_of_plugin.value, shared, late()]")
    importing = f"import helper_of_plugin\nfrom steps.shared import value as shared\n{body}{late}"
    for name in ("one", "two"):
        write(
            tmp_path / name,
            {
                "main.py": importing.replace("{name}", name),
                "helper_of_plugin.py": f"value = '{name} helper'",
                "steps/shared.py": f"value = '{name} shared'",
            },
        )
    before = list(sys.path)
    registry = Registry([tmp_path / "one", tmp_path / "two"])

    assert call(registry, "one") == ["one helper", "one shared", "one shared"]
    assert call(registry, "two") == ["two helper", "two shared", "two shared"]
    assert sys.path == before
    assert "helper_of_plugin" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        __import__("helper_of_plugin")
    assert not list(tmp_path.rglob("__pycache__"))


def test_relative_imports_and_a_package_that_imports_itself_by_its_name(tmp_path: Path) -> None:
    write(
        tmp_path / "my_pack",
        {
            "__init__.py": "from .steps import *\n",
            "steps.py": "from my_pack import _names\nfrom ._names import NAME\n"
            + step_source("packed", "[NAME, _names.NAME]"),
            "_names.py": "NAME = 'from inside'",
        },
    )

    assert call(Registry([tmp_path / "my_pack"]), "packed") == ["from inside", "from inside"]
    assert call(Registry([tmp_path]), "packed") == ["from inside", "from inside"]


def test_a_file_named_like_a_module_of_python_shadows_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "json.py": "raise RuntimeError('shadowed')",
            "a.py": "import json\n" + step_source("a", "json.dumps([1])"),
        },
    )
    registry = Registry([tmp_path], strict=False)

    assert call(registry, "a") == "[1]"


def test_a_changed_file_is_seen_by_the_next_registry_and_not_by_one_at_work(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a.py": step_source("a", "value()") + "\n\ndef value():\n    import b\n    return b.VALUE\n"},
    )
    write(tmp_path, {"b.py": "VALUE = 1"})
    first = Registry([tmp_path])
    version = first.step_version("a")
    stat = (tmp_path / "b.py").stat()
    write(tmp_path, {"b.py": "VALUE = 2"})
    os.utime(
        tmp_path / "b.py", ns=(stat.st_atime_ns, stat.st_mtime_ns)
    )  # as a copy of the same second and size
    second = Registry([tmp_path])

    assert [call(second, "a"), call(first, "a")] == [2, 1]
    assert second.step_version("a") == version
    write(tmp_path, {"a.py": step_source("a", "3")})
    assert Registry([tmp_path]).step_version("a") != version
    assert version.startswith("a.py ")


def test_the_same_content_is_run_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = f"with open({str(log)!r}, 'a') as f:\n    f.write('x')\n"
    folder = write(tmp_path / "p", {"a.py": note + step_source("a")})

    one, other = Registry([folder]), Registry([folder, folder])

    assert one.step_type("a") is other.step_type("a")
    assert other.diagnostics == []
    assert log.read_text() == "x"


def test_registries_with_different_paths_know_different_types(tmp_path: Path) -> None:
    write(tmp_path, {"one/a.py": step_source("same", "1"), "two/a.py": step_source("same", "2")})

    assert call(Registry([tmp_path / "one"]), "same") == 1
    assert call(Registry([tmp_path / "two"]), "same") == 2
    with pytest.raises(ConfigError, match="unknown step type 'same'"):
        Registry().step_type("same")


CANNOT = "error[AF582]: the plugin cannot be loaded:"
REPAIR = "hint: repair the plugin, or set AETHERFLOW_PLUGIN_STRICT=false to continue without it"
INSTALL = "which is not installed hint: install the package that brings it"
BROKEN = {
    "no Python": ("x = 1\ndef broken(:\n", "a.py:2:12: error[AF581]: this is not Python: invalid syntax"),
    "it raises": (
        "\nraise RuntimeError('no licence')\n",
        f"a.py:2:1: {CANNOT} RuntimeError: no licence {REPAIR}",
    ),
    "it says nothing": ("raise KeyError\n", f"a.py:1:1: {CANNOT} KeyError {REPAIR}"),
    "it leaves": ("import sys\nsys.exit(3)\n", f"a.py:2:1: {CANNOT} SystemExit: 3 {REPAIR}"),
    "no such package": (
        "import not_there.deep\n",
        f"a.py:1:1: error[AF583]: the plugin needs the module 'not_there', {INSTALL}",
    ),
    "an inner module of the original": (
        "from aetherflow.core.runner import run_flow\n",
        "a.py:1:1: error[AF583]: the plugin imports 'aetherflow.core.runner', which AetherFlow does not",
    ),
    "no such name": (
        "from os import nowhere\n",
        f"a.py:1:1: {CANNOT} ImportError: cannot import name 'nowhere'",
    ),
    "a decorator without a name": (
        "from aetherflow import step\n\n@step\nasync def s(context, inputs): ...\n",
        'a.py:3:1: error[AF547]: @step without a name on s hint: write: @step("s")',
    ),
    "too few parameters": (
        "from aetherflow import step\n\n\n@step('s')\nasync def s(inputs): ...\n",
        "a.py:4:1: error[AF547]: step 's': the function takes (context, inputs), not (inputs) hint: ",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_reported_with_file_and_line(tmp_path: Path, case: str) -> None:
    source, expected = BROKEN[case]
    (tmp_path / "a.py").write_text(source)
    write(tmp_path, {"good.py": step_source("good")})
    registry = Registry([tmp_path])

    assert call(registry, "good") == "good"

    (problem,) = reported(registry, tmp_path)
    assert problem.startswith(expected)
    assert "good" not in problem


def test_a_file_that_is_not_utf_8_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x = '\xff'\n")
    write(tmp_path, {"good.py": step_source("good")})
    registry = Registry([tmp_path])

    assert call(registry, "good") == "good"

    (problem,) = reported(registry, tmp_path)
    # The column and the end of the sentence are the interpreter's: its versions differ.
    wanted = r"a\.py:1:\d+: error\[AF581\]: this is not Python: \(unicode error\) 'utf-8' codec"
    assert re.match(wanted, problem), problem


def test_a_broken_file_that_others_import_is_reported_once_and_they_register_nothing(tmp_path: Path) -> None:
    half = step_source("half") + "\nimport broken\n"
    write(tmp_path, {"a.py": half, "b.py": "import broken\n", "broken.py": "\n\n1 / 0\n"})
    registry = Registry([tmp_path])

    assert "half" not in registry.step_names()
    problem = f"broken.py:3:1: {CANNOT} ZeroDivisionError: division by zero {REPAIR}"
    assert reported(registry, tmp_path) == [problem]


def test_an_unknown_type_beside_a_broken_file_says_where_it_may_be(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "1 / 0"})

    with pytest.raises(ConfigError) as raised:
        Registry([tmp_path]).step_type("quite_another")

    perhaps = f"perhaps it is in the plugin that cannot be loaded: {tmp_path}/a.py:1"
    assert raised.value.hint.startswith(f"{perhaps}; looked in: AetherFlow, the installed packages, ")


def test_without_strictness_problems_are_warnings(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "1 / 0", "b.py": step_source("b")})
    registry = Registry([tmp_path, tmp_path / "nowhere"], strict=False)

    assert call(registry, "b") == "b"
    assert [(d.code, d.severity) for d in registry.diagnostics] == [
        ("AF582", "warning"),
        ("AF580", "warning"),
    ]


def test_a_plugin_is_tried_again_when_it_could_not_be_loaded(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    folder = write(tmp_path / "p", {"a.py": f"open({str(ready)!r}).close()\n" + step_source("a")})

    assert "a" not in Registry([folder]).step_names()
    ready.touch()
    assert call(Registry([folder]), "a") == "a"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "there is no such plugin path"),
        (lambda path: (path.write_text("x"), path)[1], "a plugin path is a folder or a .py file"),
        (lambda path: path.with_name("x" * 300), "the plugin path cannot be read: "),
    ],
)
def test_a_path_that_cannot_be_used_is_reported(tmp_path: Path, make: Any, message: str) -> None:
    path = make(tmp_path / "plugins")
    registry = Registry([path])
    registry.step_names()

    (problem,) = registry.diagnostics
    assert (problem.code, problem.file) == ("AF580", str(path))
    assert problem.message.startswith(message)
    assert problem.hint == "AETHERFLOW_PLUGIN_PATHS names folders and .py files, separated by commas"


def test_a_folder_of_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    write(tmp_path, {f"{name}.py": "1 / 0" for name in "abcd"})
    registry = Registry([tmp_path])
    registry.step_names()

    assert [d.message for d in registry.diagnostics] == ["the plugin path has more than 3 Python files"]


def twice(registry: Registry) -> list[Diagnostic]:
    """Return the problems after everything was looked at."""
    registry.step_names()
    return registry.diagnostics


def test_a_name_that_two_files_register_is_reported_at_the_second_and_the_first_holds(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": step_source("same", "1"), "b.py": "\n" + step_source("same", "2")})
    registry = Registry([tmp_path])

    (problem,) = twice(registry)
    line = step_source("same").splitlines().index("@step('same')") + 1
    assert (problem.code, problem.file, problem.line) == ("AF546", f"{tmp_path}/b.py", line + 1)
    assert problem.message == (
        f"the step type 'same' is registered more than once: by {tmp_path}/a.py:{line}, and here"
    )
    assert call(registry, "same") == 1


def test_a_name_that_one_file_registers_twice_is_reported(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": step_source("same", "1") + step_source("same", "2")})

    assert [d.code for d in twice(Registry([tmp_path]))] == ["AF546"]


def test_a_file_does_not_replace_what_ships(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": step_source("check_items") + CONNECTOR_CLASS.format(name="db:sqlite3")})
    registry = Registry([tmp_path])

    assert [d.message for d in twice(registry)] == [
        "the step type 'check_items' is registered more than once: by aetherflow, and here",
        "the connector 'db:sqlite3' is registered more than once: by aetherflow, and here",
    ]
    assert registry.step_type("check_items").run.__module__ == "aetherflow.steps.check_items"


def test_where_a_type_comes_from_is_known(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": step_source("a") + CONNECTOR_CLASS.format(name="x:y")})
    registry = Registry([tmp_path])

    assert registry.source(STEP, "check_items") == "aetherflow"
    assert registry.source(STEP, "a").startswith(f"{tmp_path}/a.py:")
    assert registry.source(CONNECTOR, "x:y").startswith(f"{tmp_path}/a.py:")
    assert registry.source(STEP, "unknown") == ""


def test_a_plugin_that_hangs_while_it_is_imported_keeps_no_other_from_being_loaded(tmp_path: Path) -> None:
    reached, go = tmp_path / "reached", tmp_path / "go"
    os.mkfifo(reached)
    os.mkfifo(go)
    waits = f"open({str(reached)!r}, 'w').close()\nopen({str(go)!r}).close()\n"
    write(tmp_path, {"slow/a.py": waits + step_source("slow"), "quick/a.py": step_source("quick")})
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(call, Registry([tmp_path / "slow"]), "slow")
        reached.open().close()  # it is being imported now
        quick = pool.submit(call, Registry([tmp_path / "quick"]), "quick")
        try:
            assert quick.result(timeout=10) == "quick"
            assert not slow.done()
        finally:
            go.open("w").close()
        assert slow.result(timeout=10) == "slow"


def test_many_threads_load_a_path_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = f"with open({str(log)!r}, 'a') as f:\n    f.write('x')\n"
    folder = write(tmp_path / "p", {"a.py": note + step_source("a")})

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Registry([folder]).step_type("a"), range(16)))

    assert len({id(one) for one in found}) == 1
    assert log.read_text() == "x"
