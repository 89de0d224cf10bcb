"""Check who can read and write what AetherFlow has created, for `doctor`: state, logs, outputs, bundles."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from aetherflow.config.settings import Settings
from aetherflow.file_access import FileAccess
from aetherflow.sdk.checks import CheckResult
from aetherflow.store.filesystem import logs_beside
from aetherflow.working_directory import absolute

_OTHERS, _GROUP, _GROUP_USES = stat.S_IRWXO, stat.S_IRWXG, stat.S_IRGRP | stat.S_IWGRP
_WRITE = stat.S_IWGRP | stat.S_IWOTH


def access_results(settings: Settings, state: Path, work_root: Path) -> list[CheckResult]:
    """Report what others can read or write, or own, with the command that mends it.

    What is in a folder that others cannot enter needs no look. A folder that only holds the state database
    of a flow is not AetherFlow's; only the state root is.
    """
    access = settings.file_access
    folders = [settings.state_root] if state.parent == absolute(settings.state_root) else []
    results = [found for path in folders for found in _wrong(path, access)]
    if not folders or results:
        wal = state.with_name(f"{state.name}-wal")
        results += [found for path in (state, wal, logs_beside(state)) for found in _wrong(path, access)]
    if not (results and work_root.is_relative_to(settings.state_root)):
        results += _wrong(work_root, access) or _wrong(work_root / "bundles", access)
    return results


def _wrong(path: Path, access: FileAccess) -> list[CheckResult]:
    try:
        found = path.stat()
    except OSError:
        return []  # it does not exist, or nobody can look into its folder
    mode, name = stat.S_IMODE(found.st_mode), shlex.quote(str(path))
    each = "-R " if stat.S_ISDIR(found.st_mode) else ""
    group_may = access == "group"
    too_much = mode & (_OTHERS if group_may else _GROUP | _OTHERS)
    if too_much:
        who = "every user" if mode & _OTHERS else "its group"
        message = f"{path}: {who} can {'write' if too_much & _WRITE else 'read'} it ({mode:04o})"
        remedy = f"chmod {each}{'o=' if group_may else 'go='} {name}"
        if not mode & _OTHERS:
            remedy += ", or set AETHERFLOW_FILE_ACCESS=group"
    elif group_may and ~mode & _GROUP_USES:
        message = f"{path}: its group cannot read and write it ({mode:04o})"
        remedy = f"chmod {each}g+rwX {name}"
        if each:
            remedy += f"; find {name} -type d -exec chmod g+s {{}} +"
    elif not group_may and os.geteuid() and found.st_uid not in (os.geteuid(), 0):
        message = f"{path}: it belongs to another user ({found.st_uid})"
        remedy = f'chown {each}"$(id -un)" {name}'
    else:
        return []
    return [CheckResult("file access", "warning", message, remedy)]
