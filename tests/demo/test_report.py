"""The demo of a report, as its reader types it: a database, checks, a filled template, an archive."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.cli.command_line import CommandLine, no_trace

ROOT = Path(__file__).parents[2]
REPORT = "demo/usecase-report"
FLOW = f"{REPORT}/flows/sales_report.yaml"


@pytest.fixture
def place(cli: CommandLine) -> CommandLine:
    """A checkout with the demo."""
    shutil.copytree(ROOT / "demo", cli.folder / "demo", ignore=shutil.ignore_patterns("output"))
    (cli.folder / ".venv").symlink_to(sys.prefix)
    return cli


@pytest.mark.filterwarnings(
    "ignore:.*extension is not supported:UserWarning"
)  # openpyxl knows no data bars of 2010
def test_the_demo_fills_a_report_with_what_is_in_the_database(place: CommandLine) -> None:
    done = place.bash(f"sh {REPORT}/run.sh")

    assert done.code == 0, done
    assert no_trace(done)
    assert "   Sales report\n   2026-10-01 to 2026-10-31\n" in done.out
    assert "   Centre                   3,276         6,956    398,567.20         27.5%\n" in done.out
    artifacts = next((place.folder / "demo/output/report/work").rglob("sales-report.zip"))
    with zipfile.ZipFile(artifacts) as archive:
        assert archive.namelist() == ["sales-report.xlsx"]
        archive.extractall(place.folder)
    book = openpyxl.load_workbook(place.folder / "sales-report.xlsx")
    assert book.sheetnames == ["Report", "DATA_orders"]
    assert book["DATA_orders"].max_row == 12_001
    report: Any = book["Report"]
    assert [cell.value for cell in report[12]][:2] == ["Total", "=SUM(B6:B11)"]
    assert [cell.value for cell in report[24]][:2] == ["Total", "=SUM(B16:B23)"]
    (chart,) = report._charts
    assert chart.series[0].val.numRef.f == "Report!$D$6:$D$11"
    with closing(sqlite3.connect(place.folder / "demo/output/report/sales.sqlite")) as database:
        query = "SELECT region, sum(quantity * unit_price) FROM orders GROUP BY 1 ORDER BY 2 DESC"
        expected = database.execute(query).fetchall()
    filled = {row[0].value: row[3].value for row in report.iter_rows(6, 11)}
    assert list(filled) == [region for region, _ in expected]
    assert filled == pytest.approx(dict(expected))


def test_wrong_data_stop_the_report(place: CommandLine) -> None:
    done = place.bash(
        f". {REPORT}/environment.sh && .venv/bin/python {REPORT}/make_sales.py $SALES_DATABASE && "
        "sqlite3 $SALES_DATABASE 'update orders set quantity = 0 where number = 100007' && "
        f".venv/bin/aetherflow run {FLOW}"
    )
    assert done.code == 1
    assert "no order without pieces" in done.err
    assert not list((place.folder / "demo/output").rglob("*.xlsx"))


def test_the_template_is_what_its_recipe_makes(tmp_path: Path) -> None:
    made = tmp_path / "report.xlsx"
    subprocess.run([sys.executable, ROOT / REPORT / "make_template.py", made], check=True)
    with zipfile.ZipFile(made) as fresh, zipfile.ZipFile(ROOT / REPORT / "templates/report.xlsx") as there:
        assert {name: fresh.read(name) for name in fresh.namelist()} == {
            name: there.read(name) for name in there.namelist()
        }
