"""The picture of time and memory by size can be made, needs nothing else, and agrees with its table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from aetherflow.manual.pages import FOLDER

SCRIPT = Path(__file__).with_name("cost_by_size.py")
SVG = "{http://www.w3.org/2000/svg}"
MANUAL = FOLDER / "performance.md", FOLDER / "cost-by-size.svg"


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """Measure three tiny flows; return the page and the picture."""
    page, picture = tmp_path / "page.md", tmp_path / "picture.svg"
    page.write_text("before\n<!-- measured: cost by size -->\nold\n<!-- end -->\nafter\n")
    sizes = ["--sizes", "1,2,3", "--rounds", "1"]
    where = ["--page", str(page), "--picture", str(picture)]
    subprocess.run([sys.executable, str(SCRIPT), *sizes, *where], check=True, capture_output=True)
    return page, picture


def test_three_sizes_become_a_table_between_the_marks_and_a_picture(made: tuple[Path, Path]) -> None:
    page, _ = made
    text = page.read_text()

    assert text.startswith("before\n<!-- measured: cost by size -->\n\n| jobs |")
    assert text.endswith("\n\n<!-- end -->\nafter\n")
    assert "old" not in text
    assert_picture_is_that_of_the_table(*made, sizes=[1, 2, 3])


def test_the_picture_of_the_manual_is_that_of_its_table() -> None:
    page, picture = MANUAL

    assert len(picture.read_bytes()) < 20_000
    assert f"]({picture.name})" in page.read_text(encoding="utf-8")
    assert_picture_is_that_of_the_table(
        page, picture, sizes=[1, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000]
    )


def assert_picture_is_that_of_the_table(page: Path, picture: Path, sizes: list[int]) -> None:
    """Compare the figures of the table with the words of the picture, and count its points."""
    text = (
        page.read_text(encoding="utf-8").partition("<!-- measured: cost by size -->")[2].partition("<!--")[0]
    )
    rows = re.findall(r"^\| ([\d,]+) \| (\S+ s) \|.*\| (\d+ MB) \|", text, re.MULTILINE)
    assert [int(jobs.replace(",", "")) for jobs, *_ in rows] == sizes
    data = picture.read_bytes()
    assert not re.search(rb"url\((?!#)|href=|<script", data)
    drawing = ET.fromstring(data)  # noqa: S314 - our own file
    words = drawing.findtext(f"{SVG}desc")
    figures = "; ".join(f"{jobs} jobs: {seconds}, {memory}" for jobs, seconds, memory in rows)
    assert words == figures.replace("1 jobs:", "1 job:", 1)
    points = [len(panel.findall(f"{SVG}circle")) for panel in drawing.findall(f"{SVG}g")]
    assert points == [len(sizes), len(sizes), len(sizes) - 1]
    for circle in drawing.iter(f"{SVG}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= 480
        assert 0 <= float(circle.attrib["cy"]) <= 260
