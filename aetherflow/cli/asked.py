"""Of all commands, those that a command line asks for: building every one costs more than a short run."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence

import typer
from typer.main import get_command_name
from typer.models import CommandInfo, TyperInfo

COMPLETION = "_AETHERFLOW_COMPLETE"
"""Set while a shell completes a command line, which may need any command."""

HELP = ("-h", "--help")


def asked_for(app: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    """Return the app with what the arguments name; the whole of it where they name nothing it has.

    For the help of a group its commands are only listed: their options are left out.
    """
    if COMPLETION in os.environ:
        return app
    return _narrowed(app, arguments)


def _narrowed(app: typer.Typer, arguments: Sequence[str]) -> typer.Typer:
    if not arguments:
        return _listed_only(app) if app.info.no_args_is_help else app
    if arguments[0] in HELP:
        return _listed_only(app)
    word = arguments[0]
    for group in app.registered_groups:
        if group.name == word and group.typer_instance:
            return _with(app, [], [_group(group, _narrowed(group.typer_instance, arguments[1:]))])
    commands = [info for info in app.registered_commands if _name(info) == word]
    return _with(app, commands, []) if commands else app


def _with(app: typer.Typer, commands: list[CommandInfo], groups: list[TyperInfo]) -> typer.Typer:
    """Return a copy of the app; the app itself stays as it is, for the next command line."""
    narrow = copy.copy(app)
    narrow.registered_commands, narrow.registered_groups = commands, groups
    return narrow


def _group(info: TyperInfo, app: typer.Typer) -> TyperInfo:
    group = copy.copy(info)
    group.typer_instance = app
    return group


def _listed_only(app: typer.Typer) -> typer.Typer:
    commands = [_listed(info) for info in app.registered_commands]
    groups = [
        _group(info, _with(info.typer_instance, [], []))
        for info in app.registered_groups
        if info.typer_instance
    ]
    return _with(app, commands, groups)


def _listed(info: CommandInfo) -> CommandInfo:
    """Return the command as a list of commands needs it: its name and what it does."""
    listed = copy.copy(info)
    listed.name = _name(info)
    listed.help = info.help or (info.callback.__doc__ if info.callback else None)
    listed.callback = _nothing
    return listed


def _name(info: CommandInfo) -> str:
    return info.name or get_command_name(getattr(info.callback, "__name__", ""))


def _nothing() -> None:
    """Stand for a command that is not run."""
