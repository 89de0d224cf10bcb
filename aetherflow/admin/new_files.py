"""Write new files, and overwrite existing ones only by request, for `aetherflow init`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aetherflow.errors import UsageError
from aetherflow.working_directory import absolute

_NO_LINK = (
    "links are not followed here, with or without --force: remove what is a link, or name another folder"
)


def write_new(texts: Mapping[Path, str], *, force: bool, hint: str) -> list[Path]:
    """Write files and return their paths; create missing folders.

    Args:
        texts: the content of each file.
        force: overwrite existing files.
        hint: what to do if a file exists already.

    Raises:
        UsageError: a file exists already (then nothing is written), or one cannot be written; a link is not
            followed, even by request.
        ConfigError: the working directory was removed, and a path is relative to it.
    """
    for path in texts:
        absolute(path)
    try:
        if links := [_link(path) for path in texts if path.is_symlink()]:
            raise UsageError("; ".join(links), hint=_NO_LINK)
        if not force and (there := [path for path in texts if path.exists()]):
            raise UsageError(
                f"{', '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already", hint=hint
            )
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, text, force=force)
    except FileExistsError as error:  # where a folder is to be made
        found = Path(error.filename)
        if found.is_symlink():
            raise UsageError(_link(found), hint=_NO_LINK) from None
        raise UsageError(f"{found} is there already and is no folder", hint="name another folder") from None
    except OSError as error:
        name = error.filename or next(iter(texts)).parent
        raise UsageError(f"cannot write {name}: {error.strerror or error}") from None
    return list(texts)


def _link(path: Path) -> str:
    missing = "" if path.exists() else ", which does not exist"
    return f"{path} is a symbolic link to {path.readlink()}{missing}"


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file; a new one that cannot be written whole is removed, so that it can be tried again."""
    is_new = not path.exists()
    with path.open("w" if force else "x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            if is_new:
                path.unlink()
            raise
