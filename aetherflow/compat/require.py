"""Import an optional package, with a clear error if it is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(spec: str) -> Any:
    """Return a module (`a.b`) or an attribute of one (`a.b:c`).

    Raises:
        RuntimeError: it cannot be imported; names it.
    """
    module, _, attribute = spec.partition(":")
    return require_attr(module, attribute) if attribute else _import(module, spec)


def require_attr(module_name: str, attr_name: str) -> Any:
    """Return an attribute of a module.

    Raises:
        RuntimeError: it cannot be imported; names it.
    """
    spec = f"{module_name}:{attr_name}"
    try:
        return getattr(_import(module_name, spec), attr_name)
    except AttributeError:
        raise RuntimeError(f"{spec} is needed, and {module_name} has no {attr_name!r}") from None


def _import(module_name: str, spec: str) -> Any:
    try:
        return import_module(module_name)
    except Exception as error:
        raise RuntimeError(
            f"{spec} is needed, and cannot be imported: {error}; install the package that brings it"
        ) from error
