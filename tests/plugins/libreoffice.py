"""Convert workbooks with LibreOffice, which recalculates them; one start for as many files as there are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SECONDS = 120


def converted(files: Sequence[Path], suffix: str, folder: Path) -> list[Path]:
    """Return the files as LibreOffice writes them with another suffix, below the folder; skip without it."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("Debian's package libreoffice-calc is not installed")
    subprocess.run(
        [
            program,
            *("--headless", f"-env:UserInstallation=file://{folder}/profile"),
            *("--convert-to", suffix, "--outdir", str(folder / "converted")),
            *map(str, files),
        ],
        check=True,
        capture_output=True,
        timeout=SECONDS,
        env={**os.environ, "HOME": str(folder)},
    )
    return [folder / "converted" / f"{file.stem}.{suffix}" for file in files]
