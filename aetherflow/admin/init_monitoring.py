"""Write what Prometheus and Grafana need for AetherFlow, for `aetherflow init monitoring`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from aetherflow.admin.monitoring_dashboard import dashboard_json
from aetherflow.admin.new_files import write_new
from aetherflow.errors import UsageError

Part = Literal["rules", "dashboard", "prometheus", "readme"]

NAMES: dict[Part, str] = {
    "rules": "aetherflow.rules.yml",
    "dashboard": "aetherflow.dashboard.json",
    "prometheus": "prometheus.yml",
    "readme": "README.md",
}
"""The file of each part."""


def monitoring_text(part: str) -> str:
    """Return the content of a file: of the rules, the dashboard, the configuration or the README.

    Raises:
        UsageError: there is no such part.
    """
    if part == "dashboard":
        return dashboard_json()
    for known, name in NAMES.items():
        if part == known:
            return (files("aetherflow.admin") / "monitoring_template" / f"{name}.txt").read_text("utf-8")
    raise UsageError(f"--print {part}: it is one of {', '.join(NAMES)}")


def write_monitoring(folder: Path, *, force: bool) -> list[Path]:
    """Write all files into a folder, and return them.

    Args:
        folder: created if it does not exist.
        force: overwrite existing files.

    Raises:
        UsageError: a file exists already (then nothing is written), or one cannot be written.
    """
    texts = {folder / name: monitoring_text(part) for part, name in NAMES.items()}
    return write_new(texts, force=force, hint="name another folder, or overwrite with --force")
