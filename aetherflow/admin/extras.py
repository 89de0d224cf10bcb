"""Check which extras of the installed package have all their modules, for `doctor`."""

from __future__ import annotations

import re
from importlib import metadata

from aetherflow.sdk.checks import CheckResult

DISTRIBUTION = "aetherflow"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")
_NOT_FOR_USERS = {"all", "dev"}


def extras() -> dict[str, dict[str, str]]:
    """Return the packages of each extra with their installed versions; a missing package has an empty one."""
    found: dict[str, dict[str, str]] = {}
    try:
        requirements = metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:
        return {}  # run from a source folder, without package metadata
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and match["extra"] not in _NOT_FOR_USERS:
            found.setdefault(match["extra"], {})[match["name"]] = _version(match["name"])
    return found


def extra_results() -> list[CheckResult]:
    """Return one result per extra; a missing extra is not an error."""
    results = []
    for extra, packages in sorted(extras().items()):
        missing = [name for name, version in packages.items() if not version]
        if missing:
            message = f"not installed: {', '.join(missing)}"
            hint = f"to use it: pip install '{DISTRIBUTION}[{extra}]'"
        else:
            message, hint = ", ".join(f"{name} {version}" for name, version in packages.items()), ""
        results.append(CheckResult(f"extra {extra}", "ok", message, hint))
    return results


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
