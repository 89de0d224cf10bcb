"""What plugins of AetherFlow 0.0 import: `from aetherflow.core.api import Step, register_step`."""

from __future__ import annotations

from aetherflow.compat import api
from aetherflow.compat.api import *  # noqa: F403 - exactly the names of its __all__

__all__ = api.__all__
