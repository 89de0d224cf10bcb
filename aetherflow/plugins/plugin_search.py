"""Collect what plugins registered beside the entry points of steps and connectors; each name once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.errors import Diagnostic, Severity
from aetherflow.plugins.entry_points import distribution, load_installed
from aetherflow.plugins.plugin_files import load
from aetherflow.sdk.registration import Declared

Name = tuple[str, str]
"""What it is ("step type" or "connector"), and its name."""


class Plugin(msgspec.Struct, frozen=True):
    """A step type or connector of a plugin.

    Attributes:
        found: the StepType, or the class of the connector.
        source: the file or distribution of the plugin, for people.
        version: identifies its version.
    """

    found: Any
    source: str
    version: str


class Plugins(msgspec.Struct, frozen=True):
    """The plugins that were found, and the diagnostics of the others; `own` ones are in `steps` folders."""

    by_name: dict[Name, Plugin]
    problems: list[Diagnostic]
    own_problems: list[Diagnostic] = []


def find_plugins(
    paths: Sequence[Path], taken: Mapping[Name, str], *, strict: bool, own: Sequence[Path] = ()
) -> Plugins:
    """Load the plugins of the old kind, the plugin paths, and the `steps` folders, in their order.

    A name that exists already keeps its first meaning, and the second is reported. Without
    `strict` every problem is a warning.

    Args:
        paths: the plugin paths.
        taken: names that are defined already, and the source of each.
        strict: whether problems are errors.
        own: the `steps` folders; those that do not exist are left out.
    """
    problems: list[Diagnostic] = []
    own_problems: list[Diagnostic] = []
    by_name: dict[Name, Plugin] = {}
    where: dict[Name, str] = dict(taken)
    own = [folder for folder in own if folder not in paths and os.path.isdir(folder)]  # noqa: PTH112 - may be closed
    for declared, plugin in chain(_of_paths(paths, problems), _loaded(own, own_problems)):
        name = declared.what, declared.name
        if name not in where:
            by_name[name], where[name] = plugin, declared.place
        elif where[name] != declared.place:
            problems.append(_twice(declared, where[name]))
    severity: Severity = "error" if strict else "warning"
    graded = [[replace(one, severity=severity) for one in found] for found in (problems, own_problems)]
    return Plugins(by_name, *graded)


def _of_paths(paths: Sequence[Path], problems: list[Diagnostic]) -> Iterator[tuple[Declared, Plugin]]:
    """Yield what is declared, in order; add what cannot be loaded to the problems."""
    installed, found = load_installed()
    problems += found
    for entry, declarations in installed:
        version = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
        for one in declarations:
            yield one, Plugin(one.found, distribution(entry), version)
    yield from _loaded(paths, problems)


def _loaded(paths: Sequence[Path], problems: list[Diagnostic]) -> Iterator[tuple[Declared, Plugin]]:
    """Yield what the files of paths declare; add what cannot be loaded to the problems."""
    for path in dict.fromkeys(paths):
        loaded = load(path)
        problems += loaded.problems
        for one in loaded.declared:
            yield one, Plugin(one.found, one.place, loaded.source.version(one.file))


def _twice(declared: Declared, first: str) -> Diagnostic:
    return Diagnostic(
        code="AF546",
        message=f"the {declared.what} {declared.name!r} is registered more than once: by {first}, and here",
        file=declared.file,
        line=declared.line,
        hint="give one of them another name",
    )
