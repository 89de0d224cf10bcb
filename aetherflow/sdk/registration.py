"""Record what `@step` and `@connector` declare, by module.

The record belongs to the process and only grows; each registry reads from it what its modules declared.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import msgspec

from aetherflow.errors import ConfigError
from aetherflow.plugin_output import add_plugin_package

_API = ("aetherflow.sdk.", "aetherflow.compat.", "aetherflow.core.", "aetherflow.transfer.")
"""Modules of the public API, which declare on behalf of their caller."""


class Declared(msgspec.Struct, frozen=True):
    """A step type or connector that a module declared with a decorator, and where."""

    what: Literal["step type", "connector"]
    name: str
    found: Any
    module: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.file}:{self.line}"


class DeclarationError(ConfigError):
    """A decorator of the public API is used wrongly; `problem` is the message without file and line."""

    def __init__(self, problem: str, *, file: str, line: int, hint: str, code: str) -> None:
        super().__init__(f"{file}:{line}: {problem}", hint=hint, code=code)
        self.problem, self.file, self.line = problem, file, line


_DECLARED: dict[str, dict[tuple[str, str, int], Declared]] = {}


def declare(what: Literal["step type", "connector"], name: str, found: object) -> None:
    """Record a declaration, with the module, file and line that call the public API."""
    module, file, line = _caller()
    add_plugin_package(module)
    declared = Declared(what, name, found, module, file, line)
    _DECLARED.setdefault(module, {})[what, name, line] = declared


def declared_by(package: str) -> list[Declared]:
    """Return the declarations of a module and of all modules below it, in order."""
    inside = f"{package}."
    modules = [name for name in list(_DECLARED) if name == package or name.startswith(inside)]
    return [declared for name in modules for declared in _DECLARED[name].values()]


def all_declared() -> list[Declared]:
    """Return the declarations of all modules of this process."""
    return [declared for found in list(_DECLARED.values()) for declared in found.values()]


def declaration_error(problem: str, hint: str, code: str) -> DeclarationError:
    """Return the error about a decorator that is used wrongly, with the file and line that use it."""
    _, file, line = _caller()
    return DeclarationError(problem, file=file, line=line, hint=hint, code=code)


def _caller() -> tuple[str, str, int]:
    """Return module, file and line of the innermost frame that is not the public API itself."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to one's caller, much faster than inspect.stack
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_API):
        frame = frame.f_back
    return frame.f_globals.get("__name__", ""), frame.f_code.co_filename, frame.f_lineno
