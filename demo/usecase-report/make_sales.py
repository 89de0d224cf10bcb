"""Make the sales database of this demo, with the same rows each time: python make_sales.py DATABASE."""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

REGIONS = {"North": 1.3, "South": 1.0, "East": 0.6, "West": 0.9, "Centre": 1.6, "Islands": 0.3}
"""The regions, and how much they sell compared with each other."""
PRODUCTS = {
    "Kettle": 24.90,
    "Toaster": 31.00,
    "Lamp": 18.20,
    "Coffee machine": 189.00,
    "Blender": 54.50,
    "Iron": 39.90,
    "Fan": 27.40,
    "Heater": 74.00,
}
FIRST_DAY, DAYS, ORDERS = date(2026, 10, 1), 31, 12_000


def rows() -> list[tuple[int, str, str, str, int, str]]:
    """Return the orders of a month: number, day, region, product, quantity, unit price."""
    chance = random.Random(2026)  # noqa: S311 - the same orders each time
    made = []
    for number in range(1, ORDERS + 1):
        day = FIRST_DAY + timedelta(days=chance.randrange(DAYS))
        region = chance.choices(list(REGIONS), list(REGIONS.values()))[0]
        product = chance.choice(list(PRODUCTS))
        quantity = chance.choice((1, 1, 1, 2, 2, 3, 5))
        price = f"{PRODUCTS[product]:.2f}"
        made.append((100_000 + number, day.isoformat(), region, product, quantity, price))
    return sorted(made, key=lambda row: (row[1], row[0]))


def main(path: Path) -> None:
    """Write the database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE orders (number INTEGER PRIMARY KEY, day DATE NOT NULL, region TEXT NOT NULL, "
            "product TEXT NOT NULL, quantity INTEGER NOT NULL, unit_price DECIMAL(10,2) NOT NULL)"
        )
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", rows())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
