from __future__ import annotations

from tests.runs.run_parts import place

__all__ = ["place"]
