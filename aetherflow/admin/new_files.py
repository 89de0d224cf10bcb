"""Write new files, and overwrite existing ones only by request, for `aetherflow init`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aetherflow.errors import UsageError


def write_new(texts: Mapping[Path, str], *, force: bool, hint: str) -> list[Path]:
    """Write files and return their paths; create missing folders.

    Args:
        texts: the content of each file.
        force: overwrite existing files.
        hint: what to do if a file exists already.

    Raises:
        UsageError: a file exists already (then nothing is written), or one cannot be written; a link is not
            followed, even by request.
    """
    try:
        if there := [path for path in texts if path.is_symlink() or (path.exists() and not force)]:
            raise UsageError(
                f"{', '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already", hint=hint
            )
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        name = error.filename or next(iter(texts)).parent
        raise UsageError(f"cannot write {name}: {error.strerror or error}") from None
    return list(texts)
