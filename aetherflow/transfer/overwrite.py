"""Decide what becomes of a file whose name is in use where it arrives. Pure."""

from __future__ import annotations

from typing import Literal

from aetherflow.errors import StepError
from aetherflow.sdk.remote_files import RemoteEntry

Overwrite = Literal["always", "never", "if_newer", "if_different", "fail"]

Decision = Literal["send", "same", "older", "exists"]
"""Send the file; or leave it, because the same is there, something newer is, or anything is."""


def decide(
    overwrite: Overwrite,
    *,
    size: int | None,
    mtime: float | None,
    there: RemoteEntry | None,
    exact_time: bool,
) -> Decision:
    """Return what to do with a file of this size and time.

    Times are compared in whole seconds, as many servers store them. If one is unknown, the size decides.

    Args:
        overwrite: the input of the step.
        size: of the file, in bytes.
        mtime: when it was changed.
        there: what has its name where it arrives; None: nothing has.
        exact_time: whether files get the time of their source (`preserve_mtime`), so that the same file has
            the same time. Otherwise a file that is not older than its source may be the same.

    Raises:
        StepError: the file must not be there, or a folder is (AF315).
    """
    if there is None:
        return "send"
    if there.is_dir:
        raise folder_there(there.path)
    known = mtime is not None and there.mtime is not None
    age = int(mtime or 0) - int(there.mtime or 0)
    match overwrite:
        case "always":
            return "send"
        case "never":
            return "exists"
        case "if_newer":
            newer = age > 0 if known else size != there.size
            return "send" if newer else "older"
        case "if_different":
            same_time = not known or (age == 0 if exact_time else age <= 0)
            return "same" if size == there.size and same_time else "send"
        case "fail":
            raise name_in_use(there.path)


def folder_there(path: str) -> StepError:
    """Return the error for a folder that has the name of a file (AF315)."""
    return StepError(
        f"a folder has the name of the file: {path}",
        hint="remove the folder, or choose another name with rename",
        code="AF315",
        detail={"path": path},
    )


def name_in_use(path: str) -> StepError:
    """Return the error for a file that must not be replaced (AF315)."""
    return StepError(
        f"{path} exists, and overwrite does not let it be replaced",
        hint="move it away, or choose overwrite: always, never, if_newer or if_different",
        code="AF315",
        detail={"path": path},
    )
