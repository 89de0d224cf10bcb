"""List a folder elsewhere: walk it, and take the files that a selection names."""

from __future__ import annotations

import re
from collections.abc import Iterable

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.file_selection import MOST_NAMES, FileSelection
from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
from aetherflow.task_errors import one_error
from aetherflow.transfer.remote_file import RemoteFile, file_entry, listed_file
from aetherflow.transfer.selection_inputs import SelectionInputs

SCANS_AT_ONCE = 8
"""How many folders are listed at the same time."""

MOST_DEPTH = 100
"""How many folders may be inside each other; a server may hide that a folder is a link to one above it."""

_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff\ufffd]")
"""What a name must not have: control characters, a backslash, what the server sent in another encoding."""

_SEPARATOR = re.compile(r"[/\\]")


async def list_remote(
    context: StepContext,
    connector: RemoteFiles,
    folder: str,
    inputs: SelectionInputs,
    *,
    with_folders: bool = False,
) -> list[RemoteFile]:
    """Return the files of a folder elsewhere that a selection takes, in order.

    With `with_folders`, a listing that is not recursive has the folders whose names match too, unless the
    selection has criteria that are for files: size, time, done-file.

    Raises:
        StepError: the folder cannot be listed, a file that is selected has a name that cannot be used, or
            folders are nested too deep.
    """
    recursive = bool(inputs.recursive)
    found = await walk(connector, folder, recursive=recursive)
    if inputs.stable_for_seconds is not None:
        await context.clock.sleep(inputs.stable_for_seconds)
        again = await walk(connector, folder, recursive=recursive)
        found = {path: entry for path, entry in again.items() if found.get(path) == entry}
    now = context.clock.now()
    selection = inputs.selection(now)
    folders_too = with_folders and not recursive and _by_name_only(selection)
    entries = [file_entry(path, one) for path, one in found.items() if folders_too or not one.is_dir]
    taken = [entry.path for entry in selection.select(entries, now)]
    _refuse_odd_names(taken, folder)
    return [listed_file(path, found[path]) for path in taken]


async def walk(
    connector: RemoteFiles, top: str, *, recursive: bool, leave_out: frozenset[str] = frozenset()
) -> dict[str, RemoteEntry]:
    """Return all that is in a folder, by path relative to it; links to folders are not followed.

    Folders whose names are in `leave_out` are not looked into.

    Raises:
        StepError: a folder cannot be listed, has a name that is a path, or is nested too deep.
    """
    found: dict[str, RemoteEntry] = {}
    limiter = anyio.CapacityLimiter(SCANS_AT_ONCE)

    async def look(folder: str, above: str) -> None:
        async with limiter:
            entries = [entry async for entry in connector.scan(folder)]
        prefix = connector.join(folder, "x")[:-1]
        named = {f"{above}{_name(entry.path, prefix, folder)}": entry for entry in entries}
        found.update(named)
        if not recursive:
            return
        for path, entry in named.items():
            if entry.is_dir and not entry.is_link and path.rpartition("/")[2] not in leave_out:
                _check_depth(path, top)
                tasks.start_soon(look, entry.path, f"{path}/")

    async with one_error() as tasks:
        tasks.start_soon(look, top, "")
    return found


def _name(path: str, prefix: str, folder: str) -> str:
    """Return the name of an entry of a folder; its path may be written in another form than the folder's.

    Raises:
        StepError: the far side sent a name that is a path, which could lead out of the folder (AF301).
    """
    name = path[len(prefix) :] if path.startswith(prefix) else _SEPARATOR.split(path)[-1]
    if "/" in name or name in {"", ".", ".."}:
        raise StepError(
            f"the listing of {folder} has the name {name!r}, which is no name of a file",
            hint="the server is broken or hostile; nothing of this folder is taken",
            code="AF301",
        )
    return name


def _check_depth(path: str, top: str) -> None:
    if path.count("/") >= MOST_DEPTH:
        raise StepError(
            f"the folders below {top} are nested more than {MOST_DEPTH} deep",
            hint="look for a folder that contains itself (a link or a mount), or list the folders one by one",
            code="AF302",
        )


def _by_name_only(selection: FileSelection) -> bool:
    """Whether a selection has no criteria that only files meet."""
    free = {"patterns": ("*",), "exclude": (), "sort": "name", "reverse": False, "max_count": None}
    return msgspec.structs.replace(selection, **free) == FileSelection()


def _refuse_odd_names(paths: Iterable[str], folder: str) -> None:
    """Refuse names that cannot be stored, shown, or used elsewhere.

    Raises:
        StepError: a name has such a character (AF301).
    """
    if odd := [path for path in paths if _ODD.search(path)]:
        names = ", ".join(map(ascii, odd[:MOST_NAMES]))
        what = "the name of a file" if len(odd) == 1 else f"the names of {len(odd)} files"
        raise StepError(
            f"{what} in {folder} cannot be used: {names}",
            hint="it has a control character, a backslash or another encoding than UTF-8: rename it there, "
            "or leave it out with exclude",
            code="AF301",
        )
