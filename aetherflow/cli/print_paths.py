"""Print the paths that a command resolved, each with what names it."""

from __future__ import annotations

from collections.abc import Sequence

from aetherflow.admin.resolved_paths import ResolvedPath
from aetherflow.cli.printing import print_text


def print_paths(paths: Sequence[ResolvedPath]) -> None:
    """Print a line for each path on standard output."""
    for one in paths:
        print_text(f"path     {one.name} = {one.path or '-'} ({one.origin})")
