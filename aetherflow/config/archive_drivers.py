"""Check which archive drivers a run may use: in enterprise mode those that the manifest lists."""

from __future__ import annotations

from collections.abc import Collection


def driver_refused(driver: str, allowed: Collection[str]) -> tuple[str, str]:
    """Return what to say about a driver that is not allowed, and what to do about it."""
    if driver in allowed:
        return (
            f"enterprise mode does not allow the archive driver {driver!r} without a resource",
            f"declare one: resources: {{archive_default: {{kind: archive, driver: {driver}}}}}",
        )
    there = ", ".join(sorted(allowed)) or "none"
    return (
        f"enterprise mode does not allow the archive driver {driver!r}",
        f"list it under zip_drivers of the manifest; listed: {there}",
    )
