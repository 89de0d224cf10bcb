"""Load plugin paths: Python files and folders, read once as they are now, under module names of their own.

All files of a path are read before any is loaded. So a run sees one version of its plugins to the end,
even if a module is imported late. Changed files are loaded later under another module name, because their
content is part of the name. `sys.path` is not changed.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import msgspec

from aetherflow.errors import Diagnostic
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.plugin_output import PLUGIN_PACKAGE
from aetherflow.plugins.plugin_diagnostic import plugin_diagnostic
from aetherflow.redaction import Redactor
from aetherflow.sdk.registration import Declared, declared_by
from aetherflow.spec.excerpt import with_excerpts

MOST_FILES = 1000
"""A folder with more Python files is probably not a folder of plugins, but a whole `site-packages`."""

_SUFFIX = ".py"
_TESTS = ("tests", "conftest", "setup")


class _File(msgspec.Struct, frozen=True):
    path: Path
    source: bytes
    is_package: bool


class PluginSource(msgspec.Struct, frozen=True):
    """A plugin path as it was read.

    Attributes:
        path: the file or folder.
        package: the name under which its modules are imported, derived from its content.
        files: its modules by their names inside the package; the package itself is "".
        folders: folders without an `__init__.py`, likewise.
        to_load: the modules to import, in order, for what they register.
    """

    path: Path
    package: str
    files: Mapping[str, _File]
    folders: Mapping[str, Path]
    to_load: tuple[str, ...]

    @property
    def file_names(self) -> set[str]:
        """The names of all files, as tracebacks have them."""
        return {str(file.path) for file in self.files.values()}

    def version(self, file_name: str) -> str:
        """Return a text that identifies the version of a file: its name and a hash of its content."""
        source = next((file.source for file in self.files.values() if str(file.path) == file_name), b"")
        return f"{Path(file_name).name} {hashlib.sha256(source).hexdigest()[:16]}"

    def module_of(self, name: str) -> str:
        """Return the full name of the module that `import name` means here; empty if it is elsewhere.

        A file beside a plugin never shadows the standard library or AetherFlow.
        """
        top, _, rest = name.partition(".")
        if top in sys.stdlib_module_names or top == "aetherflow":
            return ""
        if top in self.files or top in self.folders:
            return f"{self.package}.{name}"
        if "" in self.files and top == self.path.name:  # a package that imports itself by its name
            return f"{self.package}.{rest}" if rest else self.package
        return ""


class Loaded(msgspec.Struct, frozen=True):
    """The result of loading a plugin path."""

    source: PluginSource
    declared: list[Declared]
    problems: list[Diagnostic]


def version_of(path: Path) -> str:
    """Return a text that changes with the files of a plugin path; empty if it cannot be read."""
    source = _read(path)
    return "" if isinstance(source, Diagnostic) else source.package.removeprefix(PLUGIN_PACKAGE)


def load(path: Path) -> Loaded:
    """Load a plugin path; return what it registers and its diagnostics."""
    source = _read(path)
    if isinstance(source, Diagnostic):
        return Loaded(PluginSource(path, "", {}, {}, ()), [], [source])
    if source.package in _LOADED:
        return _LOADED[source.package]
    _SOURCES.setdefault(source.package, source)
    with _INSTALLING:
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)  # before the finder of files, which would read them again
    loaded = _load(_SOURCES[source.package])
    if not loaded.problems:  # a broken plugin is tried again: a missing package may be there the next time
        _LOADED[source.package] = loaded
    return loaded


def _load(source: PluginSource) -> Loaded:
    failed: set[str] = set()
    problems: dict[tuple[str, int, str], Diagnostic] = {}  # a broken file that others import is reported once
    for name in source.to_load:
        module = f"{source.package}.{name}" if name else source.package
        try:
            importlib.import_module(module)
        except BaseException as error:  # a plugin may raise anything when it is imported; it is reported
            if is_our_cancellation(error):
                raise
            failed.add(module)
            problem = plugin_diagnostic(error, source.file_names, default=str(source.files[name].path))
            problems[problem.file, problem.line, problem.message] = problem
    declared = [one for one in declared_by(source.package) if one.module not in failed]
    contents = {str(file.path): file.source for file in source.files.values()}
    shown = [
        with_excerpts([one], one.file, contents.get(one.file, b""), Redactor().text)[0]
        for one in problems.values()
    ]
    return Loaded(source, declared, shown)


def _read(path: Path) -> PluginSource | Diagnostic:
    """Read a file or folder; do not load tests and names that begin with `_` or `.`."""
    files: dict[str, _File] = {}
    folders: dict[str, Path] = {}
    try:
        if path.is_dir():
            _read_folder(path, "", files, folders)
        elif path.suffix == _SUFFIX and path.is_file():
            files[_module_name(path.stem)] = _File(path, path.read_bytes(), is_package=False)
    except OSError as error:
        place = error.filename or path
        return _unusable(path, f"the plugin path cannot be read: {place}: {error.strerror or error}")
    if len(files) > MOST_FILES:
        return _unusable(path, f"the plugin path has more than {MOST_FILES} Python files")
    if not path.exists():
        return _unusable(path, "there is no such plugin path")
    if path.is_file() and not files:
        return _unusable(path, f"a plugin path is a folder or a {_SUFFIX} file")
    digest = hashlib.sha256(f"{path}\0".encode(errors="surrogateescape"))
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0{len(file.source)}\0".encode(errors="surrogateescape") + file.source)
    package = f"{PLUGIN_PACKAGE}{digest.hexdigest()[:16]}"
    return PluginSource(path, package, files, folders, tuple(sorted(filter(_is_loaded, files))))


def _read_folder(folder: Path, inside: str, files: dict[str, _File], folders: dict[str, Path]) -> None:
    """Read the Python files of a folder, recursively; links to folders are not followed."""
    if inside:
        folders[inside[:-1]] = folder
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = _module_name(entry.name.removesuffix(_SUFFIX))
        if entry.name.startswith(".") or entry.name == "__pycache__" or len(files) > MOST_FILES:
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            _read_folder(path, f"{inside}{name}.", files, folders)
        elif entry.name == "__init__.py" and entry.is_file():
            files[inside[:-1]] = _File(path, path.read_bytes(), is_package=True)
            folders.pop(inside[:-1], None)
        elif entry.name.endswith(_SUFFIX) and entry.is_file():
            files[f"{inside}{name}"] = _File(path, path.read_bytes(), is_package=False)


def _module_name(text: str) -> str:
    return text.replace(".", "_")


def _is_loaded(name: str) -> bool:
    return not any(part.startswith(("_", "test_")) or part in _TESTS for part in name.split("."))


def _unusable(path: Path, message: str) -> Diagnostic:
    hint = "AETHERFLOW_PLUGIN_PATHS names folders and .py files, separated by commas"
    return Diagnostic(code="AF580", message=message, file=str(path), hint=hint)


class _Loader(SourceFileLoader):
    """Runs a module from the content that was read before."""

    def __init__(self, fullname: str, file: _File, source: PluginSource) -> None:
        super().__init__(fullname, str(file.path))
        self._file = file
        self._source = source

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002 - the protocol of importlib
        return self._file.is_package

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 - the protocol of importlib
        return self.source_to_code(self._file.source, self.path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importing(self._source)}
        super().exec_module(module)


def _importing(source: PluginSource) -> Any:
    """Return an `__import__` for the files of a plugin path: only they can import each other by name."""

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the signature of __import__
        locals: Mapping[str, object] | None = None,  # noqa: A002 - as above
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        own = source.module_of(name) if level == 0 else ""
        if not own:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(own, globals, locals, fromlist)
        importlib.import_module(own)
        return sys.modules[source.module_of(name.partition(".")[0])]

    return import_


class _Finder(MetaPathFinder):
    """Finds the modules of the plugin paths that were read."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol of importlib
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol of importlib
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        source = _SOURCES.get(package)
        if source is None:
            return None
        file = source.files.get(name)
        if file is None:
            folder = source.path if not name else source.folders.get(name)
            return None if folder is None else _folder_spec(fullname, folder)
        loader = _Loader(fullname, file, source)
        spec = ModuleSpec(fullname, loader, origin=str(file.path), is_package=file.is_package)
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(str(file.path.parent))
        return spec


def _folder_spec(fullname: str, folder: Path) -> ModuleSpec:
    spec = ModuleSpec(fullname, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


_FINDER = _Finder()
_SOURCES: dict[str, PluginSource] = {}
_LOADED: dict[str, Loaded] = {}
_INSTALLING = threading.Lock()
"""Never held during an import, so a plugin that hangs does not block the others."""
