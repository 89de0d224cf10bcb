"""Check that the suffix of the written file is one that Excel accepts for this template."""

from __future__ import annotations

from pathlib import Path

from aetherflow import StepError
from aetherflow_excel.package import Package
from aetherflow_excel.workbook_file import content_type

_WITH_MACROS = frozenset({".xlsm", ".xltm"})
_WITHOUT = frozenset({".xlsx", ".xltx"})
_OTHERS = frozenset({".xls", ".xlsb", ".ods", ".csv", ".tsv"})


def check_output_kind(package: Package, output: Path) -> None:
    """Check the suffix of the output; Excel opens no file whose suffix contradicts its content.

    Raises:
        StepError: it does (AF973).
    """
    suffix = output.suffix.lower()
    has_macros = "macroenabled" in content_type(package).lower()
    wrong = _WITHOUT if has_macros else _WITH_MACROS
    if suffix in wrong | _OTHERS:
        what = "may have macros" if has_macros else "has no macros"
        raise StepError(
            f"Excel would not open {output.name}: the template {package.path} {what}",
            hint=f"name the output {output.with_suffix('.xlsm' if has_macros else '.xlsx').name}",
            code="AF973",
        )
