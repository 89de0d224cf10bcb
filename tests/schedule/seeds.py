"""The seeds of the sweeps of these tests."""

from __future__ import annotations

import os

from tests.sizes import LARGE
from tests.torture.processes import seed


def drawn_seed() -> int:
    """Return the same seed in every small run, a new one in a large run; AETHERFLOW_SEED sets either."""
    return seed() if LARGE or "AETHERFLOW_SEED" in os.environ else 5
