"""The Struct of a connector that has nothing to set."""

from __future__ import annotations

import msgspec


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to set."""
