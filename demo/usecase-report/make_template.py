"""Make the template of the report: python make_template.py TEMPLATE. Somebody would design it in Excel.

Each list has one sample row with a name (SALES, PRODUCTS); what refers to it (totals, the chart, data bars)
is about all rows of the report in the end.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

MADE = datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None)
DARK, LIGHT, LINE = "#1F3B57", "#E8EEF4", "#B8C4D0"


def main(path: str) -> None:
    """Write the template."""
    book = xlsxwriter.Workbook(path)
    book.set_properties({"title": "Sales report", "created": MADE})
    sheet = book.add_worksheet("Report")
    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 1)
    sheet.set_paper(9)
    sheet.set_column("A:A", 20)
    sheet.set_column("B:E", 13)
    sheet.set_column("F:F", 3)
    sheet.set_column("G:M", 9)
    sheet.set_row(0, 30)
    title = book.add_format({"bold": True, "font_size": 20, "font_color": DARK, "valign": "vcenter"})
    sheet.merge_range("A1:M1", "Sales report", title)
    small = book.add_format({"italic": True, "font_color": "#5A6B7B", "align": "left"})
    sheet.write("A2", "MONTH", small)
    book.define_name("MONTH", "=Report!$A$2")
    _list(book, sheet, 4, "Sales by region", ["Region", "Orders", "Pieces", "Revenue", "Share"], "SALES")
    _list(book, sheet, 9, "Sales by product", ["Product", "Orders", "Pieces", "Revenue", "Share"], "PRODUCTS")
    chart = book.add_chart({"type": "column"})
    chart.add_series(
        {
            "name": "=Report!$D$5",
            "categories": "=Report!$A$6:$A$6",
            "values": "=Report!$D$6:$D$6",
            "fill": {"color": DARK},
            "gap": 60,
        }
    )
    chart.set_title({"name": "Revenue by region", "name_font": {"size": 12, "color": DARK}})
    chart.set_legend({"none": True})
    chart.set_y_axis({"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": LINE}}})
    chart.set_size({"width": 470, "height": 424})
    sheet.insert_chart("G4", chart, {"object_position": 3})
    sheet.write("G2", "Every order is on the sheet DATA_orders.", small)
    book.close()


def _list(book: Any, sheet: Any, top: int, title: str, columns: list[str], name: str) -> None:
    """Write a title, a header, a sample row with a name, and a row of totals, from row `top` (from 1) on."""
    heading = book.add_format({"bold": True, "font_size": 13, "font_color": DARK})
    header = {"bold": True, "font_color": "white", "bg_color": DARK, "border": 1, "border_color": DARK}
    cell = {"border": 1, "border_color": LINE}
    total = {"bold": True, "bg_color": LIGHT, "top": 2, "bottom": 1, "border_color": DARK}
    formats = ["@", "#,##0", "#,##0", "#,##0.00", "0.0%"]
    sheet.write(top - 1, 0, title, heading)
    sample: list[Any] = ["sample", 1, 1, 1.0, 1.0]
    for column, (text, number, value) in enumerate(zip(columns, formats, sample, strict=True)):
        align = {"align": "right"} if column else {}
        sheet.write(top, column, text, book.add_format({**header, **align}))
        sheet.write(top + 1, column, value, book.add_format({**cell, "num_format": number}))
        letter = "ABCDE"[column]
        of_total = book.add_format({**total, "num_format": number})
        if column:
            sheet.write_formula(top + 2, column, f"=SUM({letter}{top + 2}:{letter}{top + 2})", of_total)
        else:
            sheet.write(top + 2, 0, "Total", of_total)
    sheet.conditional_format(
        top + 1, 3, top + 1, 3, {"type": "data_bar", "bar_color": "#8FB1D3", "bar_solid": True}
    )
    book.define_name(name, f"=Report!$A${top + 2}")


if __name__ == "__main__":
    main(sys.argv[1])
