"""Load and call Python modules of the user (settings, secrets, metrics), and report where they failed.

A failure inside is reported by its place and the type of the exception only: the exception's own text may
contain the secret that the code was given.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import ParamSpec, TypeVar

import msgspec

from aetherflow.errors import ConfigError
from aetherflow.plugin_errors import is_our_cancellation

P = ParamSpec("P")
T = TypeVar("T")


class UserModule(msgspec.Struct, frozen=True):
    """A loaded module of the user's.

    Attributes:
        module: the module itself.
        origin: the file it came from, as errors show it.
        variable: the setting that names it.
    """

    module: ModuleType
    origin: str
    variable: str

    def function(self, name: str, code: str) -> Callable[..., object] | None:
        """Return the function `name`, or None if the module has none.

        Raises:
            ConfigError: the name is not a function.
        """
        found = self.attribute(name, code)
        if found is None or callable(found):
            return found
        message = f"{self.origin}: `{name}` is not a function ({self.variable})"
        raise ConfigError(message, hint=f"define `def {name}(...)`", code=code)

    def attribute(self, name: str, code: str) -> object:
        """Return an attribute of the module, or None if it has none.

        Raises:
            ConfigError: the module's own `__getattr__` failed.
        """

        def read() -> object:
            return getattr(self.module, name, None)

        return self.call(code, read)

    def call(self, code: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of the module.

        Raises:
            ConfigError: it raised; the message names file and line in the user's module.
        """
        name = getattr(function, "__name__", "the function")
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            if is_our_cancellation(error):
                raise
            place = _place(error, self.origin)
            message = f"{place}: {name} failed: {_described(error)} ({self.variable})"
            raise ConfigError(message, hint=f"run {name} by hand to see more", code=code) from None


def load_module(name: str, variable: str, code: str) -> UserModule:
    """Import the module that a setting names.

    Raises:
        ConfigError: there is no such module, or importing it failed.
    """
    origin = name
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None:
            origin = spec.origin or name
            return UserModule(importlib.import_module(name), origin, variable)
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        if not (isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")):
            raise _load_error(error, origin, variable, code) from None
    hint = "install it, or add its directory to PYTHONPATH"
    raise ConfigError(f"{variable}: there is no module {name!r}", hint=hint, code=code)


def load_file(path: Path, variable: str, code: str) -> UserModule:
    """Run a Python file as a separate module, which nothing else can import.

    Raises:
        ConfigError: there is no such file, or running it failed.
    """
    try:
        is_file = path.is_file()
    except OSError as error:
        raise _load_error(error, str(path), variable, code) from None
    if not is_file:
        message = f"{variable}: there is no file {str(path)!r}"
        raise ConfigError(message, hint="give the path of a Python file", code=code)
    name = f"_aetherflow_user_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up while it runs
    try:
        loader.exec_module(module)
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        raise _load_error(error, str(path), variable, code) from None
    finally:
        sys.modules.pop(name, None)
    return UserModule(module, str(path), variable)


def _load_error(error: BaseException, origin: str, variable: str, code: str) -> ConfigError:
    if isinstance(error, SyntaxError) and error.filename == origin:
        place = f"{origin}:{error.lineno or 1}"
        return ConfigError(f"{place}: this is not Python: {error.msg} ({variable})", code=code)
    place = _place(error, origin)
    return ConfigError(f"{place}: loading this module failed: {_described(error)} ({variable})", code=code)


def _described(error: BaseException) -> str:
    """Return the type of the exception, and more only where Python, not the user's code, wrote the text."""
    name = type(error).__name__
    if isinstance(error, ImportError) and error.name:
        return f"{name}: {error.name}"
    if isinstance(error, OSError) and error.errno:
        return f"{name}: {os.strerror(error.errno).lower()}"
    return name


def _place(error: BaseException, origin: str) -> str:
    """Return `file:line` of the deepest line of the user's module that the exception passed."""
    line = 0
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == origin:
            line = step.tb_lineno
        step = step.tb_next
    return f"{origin}:{line}" if line else origin
