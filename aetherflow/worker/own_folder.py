"""The folder of this worker for the files of its attempts: private, and gone when the worker is.

A worker that was killed leaves its folder; the next one on this machine removes it.
"""

from __future__ import annotations

import atexit
import fcntl
import glob
import os
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

_PREFIX = f".aetherflow-worker-{socket.gethostname()}-"
_LOCK = "in-use"
_OWNER_FOLDER = 0o700
_lock = threading.Lock()
_made: dict[tuple[int, str], Path] = {}
_held: list[int] = []


def own_folder() -> Path:
    """Return the folder, made at the first call, in the folder for temporary files; blocking.

    Raises:
        OSError: it cannot be made.
    """
    key = os.getpid(), tempfile.gettempdir()
    with _lock:
        if key not in _made:
            Path(key[1]).mkdir(_OWNER_FOLDER, parents=True, exist_ok=True)
            _remove_left(Path(key[1]))
            _made[key] = _new(Path(key[1]))
        return _made[key]


def attempt_folder() -> Path:
    """Return a path in it that nobody else has; nothing is made there.

    Raises:
        OSError: the folder of the worker cannot be made.
    """
    return own_folder() / os.urandom(6).hex()


def worker_ends() -> None:
    """Remove the folder of this worker, which ends now; one that ends by `os._exit` calls it before."""
    with _lock:
        for (process, _), folder in _made.items():
            if process == os.getpid():
                shutil.rmtree(folder, ignore_errors=True)


def _new(above: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above)).resolve()
    new = folder / f"{_LOCK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(folder / _LOCK)  # who finds it finds it locked
    _held.append(lock)  # as long as the process lives
    atexit.register(worker_ends)
    return folder


def _remove_left(above: Path) -> None:
    """Remove the folders of workers of this user that have ended."""
    for folder in above.glob(f"{glob.escape(_PREFIX)}*"):
        with suppress(OSError):  # another one removes it, or it is another user's
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
