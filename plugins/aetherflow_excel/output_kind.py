"""Check that the suffix of the written file is one that Excel accepts for this template."""

from __future__ import annotations

from pathlib import Path

from aetherflow import StepError
from aetherflow_excel.package import Package
from aetherflow_excel.workbook_file import content_type

_OTHERS = frozenset({".xls", ".xlsb", ".xltx", ".xltm", ".ods", ".csv", ".tsv"})


def check_output_kind(package: Package, output: Path) -> None:
    """Check the suffix of the output; Excel opens no file whose suffix contradicts its content.

    Raises:
        StepError: it does (AF973).
    """
    has_macros = "macroenabled" in content_type(package).lower()
    wrong = ".xlsx" if has_macros else ".xlsm"
    if output.suffix.lower() in {wrong, *_OTHERS}:
        what = "may have macros" if has_macros else "has no macros"
        raise StepError(
            f"Excel would not open {output.name}: the template {package.path} {what}",
            hint=f"name the output {output.with_suffix('.xlsm' if has_macros else '.xlsx').name}",
            code="AF973",
        )
