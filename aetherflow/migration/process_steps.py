"""The rules about `external.process`: where it runs, when it is tried again, what a shell gets."""

from __future__ import annotations

import os.path
import shlex
from collections.abc import Iterator

from yaml.nodes import MappingNode, ScalarNode

from aetherflow.migration.difference import AddKey, Change, changed, for_a_person
from aetherflow.migration.old_file import (
    OldFile,
    entries,
    get,
    is_null,
    old_value,
    quoted_text,
    replaced,
    text_of,
)
from aetherflow.migration.old_flow import OldStep, each_step, is_of_this_version, jobs_of
from aetherflow.migration.surroundings import Surroundings

PROCESS = "AF175"


def process_changes(old: OldFile, around: Surroundings) -> Iterator[Change]:
    """Find what differs about the programs of a flow."""
    is_new = is_of_this_version(old.root)
    for step in each_step(jobs_of(old.root)):
        if step.type != "external.process" or not isinstance(step.inputs, MappingNode):
            continue
        yield from _shell(old, step.inputs)
        if not is_new:
            yield from _directory(old, step, step.inputs, around)
            yield from _retry(step.inputs)
            yield from _marker(step.inputs)
            yield from _folders(step.inputs)


def _directory(old: OldFile, step: OldStep, inputs: MappingNode, around: Surroundings) -> Iterator[Change]:
    """Run the program where it ran: in the folder where 0.0 was started."""
    node = get(inputs, "cwd")
    if node is not None and old_value(node):
        return
    path = os.path.relpath(around.started, around.folder)
    cwd = "flow" if path == "." else quoted_text("{{flow.dir}}/" + path)
    edit = AddKey(inputs, "cwd", cwd) if node is None else replaced(old, node, cwd)
    yield changed(
        node or get(step.node, "type") or step.node,
        PROCESS,
        "without cwd a program runs in the folder where 0.0 was started (taken to be this one)",
        "it runs in the job's artifacts",
        f"cwd: {cwd}",
        edit,
    )


def _retry(inputs: MappingNode) -> Iterator[Change]:
    """Repeat only after the exit codes that are listed."""
    retry = get(inputs, "retry")
    attempts = get(retry, "max_attempts")
    codes = get(retry, "retry_on_exit_codes")
    if not isinstance(retry, MappingNode) or attempts is None or not is_null(codes):
        return
    if str(old_value(attempts)) in ("0", "1"):
        return
    yield changed(
        entries(retry)["max_attempts"][0],
        PROCESS,
        "without retry_on_exit_codes no exit code is tried again",
        "every exit code that is no success is tried again",
        "retry_on_exit_codes: []; remove it to have the attempts",
        AddKey(retry, "retry_on_exit_codes", "[]"),
    )


def _shell(old: OldFile, inputs: MappingNode) -> Iterator[Change]:
    """Quote the text of a command for the shell, as 0.0 quoted it."""
    command, shell = get(inputs, "command"), get(inputs, "shell")
    if not isinstance(command, ScalarNode) or command.style in ("|", ">") or not old_value(shell):
        return
    text = text_of(command)
    if not text or (shlex.quote(text) == text and "{{" not in text):
        return
    yield changed(
        command,
        PROCESS,
        "with shell: true a text is quoted as one word, so that a command line ends with exit code 127",
        "the shell runs it as a command line",
        "a list of this one word; remove the brackets to run the command line",
        replaced(old, command, f"[{old.source(command) if command.style else quoted_text(text)}]"),
    )


def _folders(inputs: MappingNode) -> Iterator[Change]:
    """Point at folders of atomic_dir that are not below those of the job."""
    for key in ("temp_output_dir", "final_output_dir"):
        node = get(inputs, "idempotency", key)
        if node is not None and (text_of(node).startswith("/") or ".." in text_of(node).split("/")):
            yield for_a_person(
                node,
                PROCESS,
                f"{key} may be anywhere below the workspace",
                "it is below the folders of the job",
                "name the place in workspace.layout, and a folder in it here",
            )


def _marker(inputs: MappingNode) -> Iterator[Change]:
    """Point at markers that the program may never have written."""
    idempotency = get(inputs, "idempotency")
    marker = get(idempotency, "marker_path")
    if text_of(get(idempotency, "strategy")).lower() != "marker" or marker is None:
        return
    if text_of(marker) == text_of(get(inputs, "success", "marker_file")):
        return
    yield for_a_person(
        marker,
        PROCESS,
        "only the program makes the marker; without it the step runs each time",
        "the step makes it after a success, and is SKIPPED from then on",
        "if the program does not write this file, use strategy: none",
    )
