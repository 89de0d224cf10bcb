"""A program: run a query of SQLite by ADBC, and write its rows to stdout as an Arrow stream.

It imports nothing of AetherFlow. A query of ADBC cannot be interrupted, but a process can be killed; and a
second SQLite library in one process drops the locks of the first. The first line of stdin is the request as
JSON; stdin is open as long as the rows are wanted. The exit code 0 means that the stream is complete.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import NoReturn


def main() -> int:
    """Do what the request says, and return the exit code."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    import adbc_driver_sqlite.dbapi as adbc  # noqa: PLC0415 - slow to import: the thread runs before
    import pyarrow as pa  # noqa: PLC0415 - the same

    with adbc.connect(request["uri"]) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(request["batch_rows"])})
        cursor.execute(request["sql"], request["params"] or None)
        reader = cursor.fetch_record_batch()
        with (
            pa.PythonFile(sys.stdout.buffer, mode="w") as out,
            pa.ipc.new_stream(out, reader.schema) as stream,
        ):
            for batch in reader:
                stream.write_batch(batch)
    return 0


def _end_with_stdin() -> NoReturn:
    """End this process when nobody has the other end of stdin any more, also if that process was killed."""
    os.read(0, 1)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
