"""Write a small project that runs as it is, for `aetherflow init`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from aetherflow.admin.new_files import write_new

_FILES = {
    "README.md": "README.md.txt",
    "aetherflow.yaml": "aetherflow.yaml.txt",
    "flow.yaml": "flow.yaml.txt",
    "profiles.yaml": "profiles.yaml.txt",
    ".env.example": "env.example.txt",
    ".gitignore": "gitignore.txt",
}
"""The files of a project, and what is written into them."""


def write_project(folder: Path, *, force: bool) -> list[Path]:
    """Write a new project into a folder, and return its files.

    Args:
        folder: the folder of the project; created if it does not exist.
        force: overwrite existing files.

    Raises:
        UsageError: a file exists already (then nothing is written), or one cannot be written.
    """
    source = files("aetherflow.admin") / "project_template"
    texts = {folder / name: (source / template).read_text("utf-8") for name, template in _FILES.items()}
    return write_new(texts, force=force, hint="name another folder, or overwrite with --force")
