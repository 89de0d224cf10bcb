"""The real command with a run lease of so many seconds: `python short_lease.py SECONDS ARGUMENT...`."""

from __future__ import annotations

import sys

from aetherflow.__main__ import main
from aetherflow.store import run_lease

if __name__ == "__main__":
    run_lease.TTL_SECONDS = float(sys.argv[1])
    sys.argv = ["aetherflow", *sys.argv[2:]]
    main()
