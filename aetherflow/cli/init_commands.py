"""`init`: files to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class _ProjectByDefault(TyperGroup):
    """`init [DIR]` is `init project [DIR]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front where none is named."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["project", *args]
        return super().parse_args(ctx, args)


init_app = typer.Typer(
    cls=_ProjectByDefault,
    help="Write files to begin with. `init [DIR]` writes a project, as `init project [DIR]`.",
    rich_markup_mode=None,
    subcommand_metavar="[DIR] | COMMAND [ARGS]...",
)

Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]


@init_app.command("project")
def init_project(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where it goes.")] = Path(),
    *,
    force: Force = False,
) -> None:
    """Write a small project that runs as it is. A flow, profiles, a README."""
    from aetherflow.admin.init_project import write_project  # noqa: PLC0415 - only this command needs it
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above

    for path in write_project(folder, force=force):
        print_text(str(path))
    print_text(
        f"try it: {'' if folder == Path() else f'cd {folder} && '}aetherflow run flow.yaml --run-id first"
    )


@init_app.command("plugin")
def init_plugin(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The plugin, and the folder that is made.")],
    *,
    force: Force = False,
) -> None:
    """Write a plugin with a step, a connector and tests that pass."""
    from aetherflow.admin.init_plugin import write_plugin  # noqa: PLC0415 - only this command needs it
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above

    for path in write_plugin(name, force=force):
        print_text(str(path))
    print_text(f"try it: cd {name} && AETHERFLOW_PLUGIN_PATHS=src aetherflow run example.yaml")


@init_app.command("systemd")
def init_systemd(
    files: Annotated[
        list[Path], typer.Argument(metavar="SCHEDULER.yaml...", help="The scheduler files to serve.")
    ],
) -> None:
    """Print a systemd unit for a server. It serves the scheduler files as you, from this folder."""
    import os  # noqa: PLC0415 - only this command needs it

    from aetherflow.admin.systemd_unit import systemd_unit  # noqa: PLC0415 - as above
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above

    print_text(systemd_unit(files, os.environ).rstrip("\n"))
