"""A prefix for the command of a server: it ends when the tests are killed, which cannot end it themselves."""

from __future__ import annotations

import shutil

ENDS_WITH_THE_TESTS = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
