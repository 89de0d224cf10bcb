"""The commands and their options as the command line has them: what the page `commands` is written from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from aetherflow.cli.command_group import build_command
from aetherflow.cli.commands import each_command


class Option(msgspec.Struct, frozen=True):
    """An option as `--help` shows it: `--run-id ID`."""

    names: tuple[str, ...]
    text: str
    about: str


class ShownCommand(msgspec.Struct, frozen=True):
    """A command: `runs retry`, its usage and its options."""

    name: str
    usage: str
    about: str
    options: tuple[Option, ...]


def commands() -> Iterator[ShownCommand]:
    """Yield every command, in the order of the table."""
    for name, entry in each_command():
        yield _shown(name, build_command(name, entry))


def _shown(name: str, command: Any) -> ShownCommand:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(["aetherflow", name, *(one.make_metavar(_CONTEXT) for one in arguments)])
    options = tuple(_option(one) for one in command.params if one.param_type_name == "option")
    return ShownCommand(name, usage, " ".join(command.help.split()), options)


def _option(option: Any) -> Option:
    value = "" if option.is_flag else f" {option.make_metavar(_CONTEXT)}"
    return Option(tuple(option.opts), ", ".join(option.opts) + value, " ".join((option.help or "").split()))


_CONTEXT: Any = click.Context(click.Command("aetherflow"))
"""What click wants to know before it names the value of an option."""
