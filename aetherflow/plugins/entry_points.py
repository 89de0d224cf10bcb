"""Load installed plugins of the old kind: entry points of `aetherflow.plugins`, which register on import."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points

from aetherflow.errors import Diagnostic
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.plugins.plugin_diagnostic import plugin_diagnostic
from aetherflow.sdk.registration import Declared, declared_by

GROUP = "aetherflow.plugins"


@cache
def entries_of(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by their names; reads every installed distribution, once."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        found.setdefault(entry.name, []).append(entry)
    return found


def distribution(entry: EntryPoint) -> str:
    """Return the name of the distribution that an entry point belongs to."""
    return _name(entry.dist) if entry.dist else entry.value


@cache
def _name(found: Distribution) -> str:
    """Return the name of a distribution, which may have many entries; its metadata is parsed for that."""
    return found.name


def load_installed() -> tuple[list[tuple[EntryPoint, list[Declared]]], list[Diagnostic]]:
    """Run the plugins of the old kind; return what each registered, and the diagnostics of the others."""
    loaded = []
    problems = []
    for entry in (entry for entries in entries_of(GROUP).values() for entry in entries):
        package = entry.module.partition(".")[0]
        try:
            found = entry.load()
            run = found if callable(found) else getattr(found, "register", None)
            if callable(run):
                run()
        except BaseException as error:  # a plugin may raise anything when it is imported; it is reported
            if is_our_cancellation(error):
                raise
            files = {str(getattr(sys.modules.get(entry.module), "__file__", None))}
            problems.append(plugin_diagnostic(error, files, default=f"{distribution(entry)} ({entry.value})"))
            continue
        loaded.append((entry, declared_by(package)))
    return loaded, problems
