"""Write the files of a new, working plugin, for `aetherflow init plugin`."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from aetherflow.admin.new_files import write_new
from aetherflow.errors import UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "example.yaml": "example.yaml.txt",
    "src/$package/__init__.py": "package.txt",
    "src/$package/connectors.py": "connectors.py.txt",
    "src/$package/steps.py": "steps.py.txt",
    "tests/test_$package.py": "test.py.txt",
}
"""The files of a plugin, and the template of each."""


def write_plugin(folder: Path, *, force: bool) -> list[Path]:
    """Write a new plugin, named after its folder, and return its files.

    Args:
        folder: the folder of the plugin; created if it does not exist.
        force: overwrite existing files.

    Raises:
        UsageError: the name is not a valid package name, or a file exists already or cannot be written.
    """
    name = folder.name
    names = {"distribution": name.lower().replace("_", "-"), "package": _package(name)}
    source = files("aetherflow.admin") / "plugin_template"
    texts = {
        folder / Template(path).substitute(names): Template(
            (source / template).read_text("utf-8")
        ).substitute(names)
        for path, template in _FILES.items()
    }
    return write_new(texts, force=force, hint="choose another name, or overwrite with --force")


def _package(name: str) -> str:
    package = name.lower().replace("-", "_")
    if not _NAME.fullmatch(name):
        problem = "cannot be the name of a Python package"
    elif keyword.iskeyword(package) or package in sys.stdlib_module_names:
        problem = "is a word of Python or a module that comes with it"
    elif package == "aetherflow":
        problem = "is AetherFlow itself"
    else:
        return package
    hint = "use letters, digits, _ and -, for example: aetherflow init plugin acme_files"
    raise UsageError(f"{name!r} {problem}", hint=hint)
