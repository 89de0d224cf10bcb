"""Let Arrow take its memory from the system: its own allocator holds 20 MB more, and is no faster here."""

from __future__ import annotations

import os


def use_system_memory() -> None:
    """Change Arrow's allocator in this process, unless somebody has chosen one; call it before large work."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    is_chosen = "ARROW_DEFAULT_MEMORY_POOL" in os.environ
    if not is_chosen and pa.default_memory_pool().backend_name == "mimalloc":
        pa.set_memory_pool(pa.system_memory_pool())
