"""A group of commands that imports only the one that is called, to start fast."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from aetherflow.cli.commands import COMMANDS, Command, Group


def _write_examples(ctx: Any, formatter: Any) -> None:
    """Write the examples of a command or group at the end of its help."""
    from aetherflow.cli.examples import EXAMPLES  # noqa: PLC0415 - only for help

    words = str(ctx.command_path).partition(" ")[2]
    if lines := EXAMPLES.get(words, ()):
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in lines))


class _CommandWithExamples(TyperCommand):
    """A command whose help ends with examples; an option whose metavar is `[FILE]` needs no value.

    No value may be empty, except `VALUE`, which is data.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give the empty value to such an option if none follows it.

        Raises:
            UsageError: another value is empty.
        """
        optional = {
            name
            for param in self.params
            if str(param.metavar or "").startswith("[") and str(param.metavar).endswith("]")
            for name in param.opts
            if name.startswith("--")
        }
        left = super().parse_args(ctx, _with_values(args, optional) if optional else args)
        for param in self.params:
            if param.metavar != "VALUE" and not optional.intersection(param.opts):
                _refuse_empty(ctx, param)
        return left

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)


def _refuse_empty(ctx: Any, param: Any) -> None:
    """Refuse `runs cancel "$RUN"` without a RUN: an empty text would count as not given, and mean the newest.

    Raises:
        UsageError: the value is an empty text.
    """
    if ctx.resilient_parsing or ctx.params.get(param.name) != "" or not _is_given(ctx, param):
        return
    from aetherflow.errors import UsageError  # noqa: PLC0415 - only errors need it

    name = param.opts[0] if param.param_type_name == "option" else str(param.metavar).strip("[]")
    what = "give a value" if param.required else "give a value, or leave it out"
    raise UsageError(f"{name} is empty", hint=f"a variable of the shell may be unset: {what}")


def _is_given(ctx: Any, param: Any) -> bool:
    source = ctx.get_parameter_source(param.name)
    return source is not None and source.name == "COMMANDLINE"


def _with_values(args: list[str], optional: set[str]) -> list[str]:
    """Return arguments in which each option of these has a value, which may be empty."""
    found: list[str] = []
    for number, word in enumerate(args):
        if word == "--":
            return [*found, *args[number:]]
        found.append(word)
        following = args[number + 1] if number + 1 < len(args) else "--"
        if word in optional and following.startswith("-") and following != "-":
            found.append("")
    return found


class CommandGroup(TyperGroup):
    """A group whose commands come from the table of commands.

    `commands` holds a placeholder for each, with name and summary, which is enough for help, completion and
    suggestions for a misspelt word.
    """

    def __init__(
        self, *, table: Mapping[str, Command | Group] = COMMANDS, default: str = "", **attrs: Any
    ) -> None:
        super().__init__(**attrs)
        self.table = table
        self.default = default
        for name, entry in table.items():
            self.commands[name] = TyperGroup(name=name, help=entry.summary, rich_markup_mode=None)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command if the arguments name none."""
        if self.default and not (args and (args[0] in self.table or args[0] in ctx.help_option_names)):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import and return the command that is called."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else build_command(name, self.table[name]), rest


def build_command(name: str, entry: Command | Group) -> Any:
    """Import a command and return it with its options, or return a group with placeholders."""
    if isinstance(entry, Group):
        return CommandGroup(
            name=name,
            help=entry.summary,
            table=entry.commands,
            default=entry.default,
            subcommand_metavar=entry.usage,
            no_args_is_help=not entry.default,
            rich_markup_mode=None,
        )
    module, _, function = entry.target.partition(":")
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(name, cls=_CommandWithExamples)(getattr(import_module(f"aetherflow.cli.{module}"), function))
    built = typer.main.get_command(app)
    built.callback = _with_clean_output(built.callback)
    return built


def _with_clean_output(command: Any) -> Any:
    """Return a command whose reports no plugin spoils: what plugins print goes elsewhere."""

    def run(*args: Any, **options: Any) -> Any:
        from aetherflow.plugin_output import captured  # noqa: PLC0415 - not for --help

        with captured():
            return command(*args, **options)

    return run
