"""Say who runs this process, for what a person requests: `anna@host`."""

from __future__ import annotations

import getpass
import os
import socket


def this_person() -> str:
    """Return the user and the host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user id has no name, as in many containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
