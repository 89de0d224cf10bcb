"""A step of this demo: make one CSV file for each region of the orders, and a summary."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from aetherflow import StepContext, StepError, step

COLUMNS = ["order_id", "region", "product", "quantity", "unit_price"]


class OrdersInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `orders_by_region`.

    Attributes:
        files: CSV files of orders; other files are left out.
        dest_dir: the folder for the results, relative to the job's artifacts.
    """

    files: list[str]
    dest_dir: str


class OrdersOutput(msgspec.Struct, frozen=True):
    """The outputs of `orders_by_region`.

    Attributes:
        orders: how many there are.
        regions: how many regions they are from.
        revenue: what all of them cost.
        summary: the file with one line for each region.
    """

    orders: int
    regions: int
    revenue: str
    summary: str


@step("orders_by_region")
def orders_by_region(context: StepContext, inputs: OrdersInput) -> OrdersOutput:
    """Add the total to each order, and write the orders of each region to a file.

    Raises:
        StepError: a line is no order; the message names the file and the line.
    """
    folder = context.path(inputs.dest_dir)
    regions: dict[str, list[list[str]]] = {}
    revenue: dict[str, Decimal] = {}
    for name in inputs.files:
        path = context.path(name)
        if path.suffix == ".csv":
            for row, total in _orders(path):
                regions.setdefault(row[1], []).append([*row, str(total)])
                revenue[row[1]] = revenue.get(row[1], Decimal()) + total
    for region, rows in regions.items():
        _write(context, folder / f"{region}.csv", [[*COLUMNS, "total"], *sorted(rows)])
    summary = folder / "summary.csv"
    lines = [[region, str(len(regions[region])), str(revenue[region])] for region in sorted(regions)]
    _write(context, summary, [["region", "orders", "revenue"], *lines])
    count = sum(map(len, regions.values()))
    context.log(f"{count} orders of {len(regions)} regions")
    return OrdersOutput(count, len(regions), str(sum(revenue.values(), Decimal())), str(summary))


def _orders(path: Path) -> Iterator[tuple[list[str], Decimal]]:
    """Yield each order of a file with its total."""
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                values = [row[column] for column in COLUMNS]
                yield values, Decimal(row["quantity"]) * Decimal(row["unit_price"])
            except (KeyError, TypeError, InvalidOperation) as error:
                raise StepError(
                    f"{path}, line {number}, is no order: {row}",
                    hint=f"its columns are {', '.join(COLUMNS)}; quantity and unit_price are numbers",
                ) from error


def _write(context: StepContext, path: Path, rows: list[list[str]]) -> None:
    with context.writing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
