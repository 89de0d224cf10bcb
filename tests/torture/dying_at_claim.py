"""A real server that kills itself when it has claimed a run that has a history, before it resumes it.

Production code knows nothing of this: the function is wrapped from outside. Arguments: those of `aetherflow`.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from aetherflow.__main__ import main
from aetherflow.runs import claimed_run
from aetherflow.store.run_lease import RunClaim, claim_run


async def dying(*given: Any, **named: Any) -> RunClaim:
    """Claim a run; die if it has a history."""
    taken = await claim_run(*given, **named)
    if taken.next_seq > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return taken


if __name__ == "__main__":
    vars(claimed_run)["claim_run"] = dying  # the name by which it calls it
    main()
