"""Check which archive drivers a run may use: in enterprise mode only those that the manifest lists."""

from __future__ import annotations

from collections.abc import Iterable


def driver_refused(driver: str, allowed: Iterable[str]) -> tuple[str, str]:
    """Return what to say about a driver that is not allowed, and what to do about it."""
    there = ", ".join(sorted(allowed)) or "none"
    return (
        f"enterprise mode does not allow the archive driver {driver!r}",
        f"list it under zip_drivers of the manifest; listed: {there}",
    )
