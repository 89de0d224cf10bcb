"""The table of all commands: the function behind each and its line in the help. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple  # not msgspec: `--help` does without it


class Command(NamedTuple):
    """One command: its function (`module:function`), and its line in the help of its group.

    The module is one of this package. The summary is the first sentence of the function's docstring, which
    is the help of the command itself.

    Attributes:
        reports: whether it has `--json`; a command without prints a log or a file, and no report.
    """

    target: str
    summary: str
    reports: bool = True


class Group(NamedTuple):
    """Commands that share a first word.

    Attributes:
        summary: the line of the group in the help.
        commands: the commands by name.
        default: the command to call if the arguments name none; without one, the help is shown.
        usage: the arguments of the group, as the help shows them.
    """

    summary: str
    commands: Mapping[str, Command]
    default: str = ""
    usage: str = "COMMAND [ARGS]..."


COMMANDS: Mapping[str, Command | Group] = {
    "run": Command("run:run", "Run a flow, or resume an earlier run of it."),
    "validate": Command("validate:validate", "Check a flow and all it refers to; nothing is run."),
    "migrate": Command("migrate:migrate", "Show what means something else in a file of AetherFlow 0.0."),
    "doctor": Command("doctor_command:doctor", "Check that this machine has what FLOW, or any flow, needs."),
    "explain": Command("explain:explain", "Show what a run did and why, or where resources come from."),
    "serve": Command("serve:serve", "Run the flows of scheduler files when they are due.", reports=False),
    "worker": Command(
        "worker:worker", "Run steps for other machines, as a worker of a Dask cluster.", reports=False
    ),
    "logs": Command("logs:logs", "Print the output of the programs of a run."),
    "events": Command("events:events", "Print the stored events of a run as JSON lines.", reports=False),
    "schema": Command(
        "schema:schema", "Print the JSON Schema of a kind of file, for editors.", reports=False
    ),
    "graph": Command("graph:graph", "Draw the jobs of a flow and their dependencies."),
    "explain-code": Command("explain_code:explain_code", "Explain an error code, and what to do about it."),
    "help": Command("help:show_help", "Show the manual: a page, a step type or a code."),
    "steps": Group(
        "List the installed step types, or show one.",
        {
            "list": Command("type_commands:list_steps", "List the step types."),
            "show": Command("type_commands:show_step", "Show the inputs and outputs of a step type."),
        },
    ),
    "connectors": Group(
        "List the installed connectors, or show one.",
        {
            "list": Command("type_commands:list_connectors", "List the connectors."),
            "show": Command("type_commands:show_connector", "Show the config and options of a connector."),
        },
    ),
    "bundle": Group(
        "Sync a bundle of flows, or show its status.",
        {
            "sync": Command("bundle_commands:sync", "Copy what changed in the source, and activate it."),
            "status": Command("bundle_commands:status", "Show which snapshot is active."),
        },
    ),
    "runs": Group(
        "List, show, compare, export, cancel, resume or delete runs.",
        {
            "list": Command("runs_list:list_runs", "List the newest runs."),
            "show": Command("runs_show:show_run", "Show a run with its jobs, steps and errors."),
            "diff": Command(
                "runs_diff:diff_two_runs", "Show how two runs differ: params, flow, jobs and steps."
            ),
            "export": Command(
                "runs_export:export",
                "Write a run as a page, or its events as JSON lines or a table.",
            ),
            "cancel": Command(
                "runs_cancel:cancel_run", "Cancel a run that another process executes, as Ctrl-C would."
            ),
            "retry": Command("runs_retry:retry_run", "Resume a run, with its flow file as it is now."),
            "prune": Command("runs_prune:prune_runs", "Delete old runs, except those that an option keeps."),
        },
    ),
    "locks": Group(
        "List locks, or release one.",
        {
            "list": Command("locks_commands:list_locks", "List the locks that are held."),
            "release": Command(
                "locks_commands:release_lock",
                "Release a lock whose holder has died or whose lease has expired.",
            ),
        },
    ),
    "state": Group(
        "List, show, set or delete the marks of flows.",
        {
            "list": Command("state_commands:list_marks", "List the marks of all flows, or of one."),
            "show": Command("state_commands:show_mark", "Show a mark and the runs that used it."),
            "set": Command("state_commands:set_mark", "Set a mark: the next run starts from there."),
            "delete": Command(
                "state_commands:delete_mark", "Delete a mark: the next run starts from the beginning."
            ),
        },
    ),
    "pools": Group(
        "List, set or remove pools of slots that steps share.",
        {
            "list": Command(
                "pools_commands:list_pools", "List the pools, the holders of their slots, and the queue."
            ),
            "set": Command(
                "pools_commands:set_pool", "Create a pool, or change its size; slots in use stay in use."
            ),
            "remove": Command("pools_commands:remove_pool", "Remove an unused pool."),
        },
    ),
    "notify": Group(
        "Try the messages that report failures.",
        {
            "test": Command(
                "notify_commands:send_test", "Send the messages of a flow or scheduler file now, as a test."
            ),
        },
    ),
    "init": Group(
        "Write first files: project, plugin, server, monitoring. `init [DIR]` is `init project [DIR]`.",
        {
            "project": Command("init_commands:init_project", "Write a small project that runs as it is."),
            "plugin": Command(
                "init_commands:init_plugin", "Write a plugin with a step, a connector and tests that pass."
            ),
            "systemd": Command(
                "init_commands:init_systemd", "Print a systemd unit for a server.", reports=False
            ),
            "monitoring": Command(
                "init_commands:init_monitoring", "Write alerts for Prometheus and a dashboard for Grafana."
            ),
        },
        default="project",
        usage="[DIR] | COMMAND [ARGS]...",
    ),
    "scheduler": Group(
        "Preview a scheduler file, show its status, fire an item.",
        {
            "run": Command(
                "serve:serve_one", "Run the flows of a scheduler file when they are due.", reports=False
            ),
            "next": Command("scheduler_commands:show_next", "Show the next firings of a scheduler file."),
            "simulate": Command("scheduler_commands:show_simulation", "Show every firing of a period."),
            "status": Command("scheduler_commands:show_status", "Show servers and items."),
            "history": Command("scheduler_history:show_history", "Show what became of every tick, and why."),
            "explain": Command(
                "scheduler_history:explain_time", "Explain why an item ran, or did not run, at a time."
            ),
            "fire": Command("scheduler_fire:fire_item", "Fire an item now."),
            "pause": Command("scheduler_pause:pause_items_now", "Pause items: they do not tick."),
            "resume": Command("scheduler_pause:resume_items", "Resume paused items."),
            "backfill": Command("scheduler_backfill:backfill_item", "Run the past ticks of an item."),
            "backfills": Command("scheduler_backfill:list_backfills", "Show the backfills."),
            "cancel": Command("scheduler_backfill:cancel_backfill", "Cancel a backfill."),
        },
    ),
}


def each_command(
    table: Mapping[str, Command | Group] = COMMANDS, words: str = ""
) -> Iterator[tuple[str, Command]]:
    """Yield every command with the words that call it: `run`, `runs list`."""
    for name, entry in table.items():
        if isinstance(entry, Group):
            yield from each_command(entry.commands, f"{words}{name} ")
        else:
            yield f"{words}{name}", entry


def named_report(arguments: Sequence[str]) -> str:
    """Return the command whose report is wanted as JSON, as `runs.list`; empty if none is."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" not in before:
        return ""
    words = [word for word in before if not word.startswith("-")]
    entry = COMMANDS.get(words[0]) if words else None
    if not isinstance(entry, Group):
        return words[0] if entry is not None and entry.reports else ""
    name = words[1] if len(words) > 1 and words[1] in entry.commands else entry.default
    return f"{words[0]}.{name}" if name and entry.commands[name].reports else ""
