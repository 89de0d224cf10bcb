"""Where a flow file is: what `{{flow.dir}}` and `{{flow.file}}` mean, and where its relative paths start."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from aetherflow.working_directory import absolute
from aetherflow.written_path import folder_of

FILE_VARIABLE = "AETHERFLOW_FLOW_FILE"
FOLDER_VARIABLE = "AETHERFLOW_FLOW_DIR"
"""The variables of a run, and of its programs, that name the file of the flow and its folder."""


class FlowPlace(msgspec.Struct, frozen=True):
    """The file of a flow and its folder, both absolute; empty for a plan that comes from no file."""

    file: str = ""
    directory: str = ""

    @property
    def folder(self) -> Path:
        """Where the relative paths of the file start."""
        return Path(self.directory)

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which a program finds the flow and what lies beside it."""
        return {FILE_VARIABLE: self.file, FOLDER_VARIABLE: self.directory} if self.file else {}


def place_of(file: Path) -> FlowPlace:
    """Return the place of a flow file as it was named: a link is not followed, `..` is left out if it can be.

    Raises:
        ConfigError: the path is relative to a working directory that was removed.
    """
    return FlowPlace(str(_without_dots(absolute(file))), str(_without_dots(folder_of(file))))


def joined(path: Path, base: Path) -> Path:
    """Return a path that starts at a folder without `..`, unless a link in the folder makes it another."""
    if ".." in path.parts and os.path.realpath(base) == str(base):
        return Path(os.path.normpath(path))
    return path


def _without_dots(path: Path) -> Path:
    """Return the path without `..`, unless a link makes that another place."""
    if ".." not in path.parts:
        return path
    short = Path(os.path.normpath(path))
    try:
        return short if short.samefile(path) else path
    except OSError:
        return path
