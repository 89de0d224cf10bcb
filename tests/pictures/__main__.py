"""Take the pictures of the README.

    python -m tests.pictures

Look at them before you commit them.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path

from tests.manual.walk import HOME
from tests.pictures.screen import as_svg, photograph, terminal

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "demo" / "recording"
TABLES = (
    *("orders", "customers", "items", "stores", "prices", "stock"),
    *("returns", "refunds", "staff", "shifts", "suppliers", "budgets"),
)
LOST = ("returns", "refunds")
PICTURES = ("tree.svg", "summary.svg", "report.png")


def main() -> int:
    """Run the night load: well, then with two tables missing; draw the tree, the end, and the report."""
    home = Path("/tmp") / secrets.token_hex(2)  # noqa: S108 - as long as the home that it is shown as
    home.mkdir(mode=0o700)
    try:
        _take(home)
    finally:
        shutil.rmtree(home)
    return 0


def _take(home: Path) -> None:
    for name in ("night.yaml", "load.sh"):
        shutil.copy(RECORDING / name, home)
    tables = home / "tables"
    tables.mkdir()
    for number, table in enumerate(TABLES, 1):
        (tables / f"{table}.csv").write_text("row\n" * 137 * number)
    environment = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PS1": "$ "}
    with terminal(home, environment) as shell:
        shell.type("aetherflow pools set warehouse 3")
        shell.wait_for("warehouse")
        shell.type("aetherflow run night.yaml --run-id sunday")
        shell.wait_for(r"^run sunday of night  SUCCESS")
        for table in LOST:
            (tables / f"{table}.csv").unlink()
        shell.type("aetherflow run night.yaml --run-id monday")
        shell.wait_for(r"● load  \d+/12, 2 failed, 3 running, 1 waiting")
        tree = shell.screen()
        shell.wait_for(r"^run monday of night  FAILED")
        end = shell.screen().removesuffix("$").rstrip()
        shell.type("aetherflow runs export monday --html night.html")
        shell.wait_for(r"night\.html: run monday")
    page = home / "night.html"
    page.write_text(page.read_text(encoding="utf-8").replace(str(home), HOME), encoding="utf-8")
    photograph(page, RECORDING / "report.png", home)
    for name, screen, title in (("tree", tree, "aetherflow run"), ("summary", end, "the end of a run")):
        drawing = as_svg(screen.replace(str(home), HOME), title)
        (RECORDING / f"{name}.svg").write_text(drawing, encoding="utf-8")
    for name in PICTURES:
        sys.stdout.write(f"demo/recording/{name}: {(RECORDING / name).stat().st_size} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
