"""Choose where the metrics of runs go: the file of `--metrics-file` or of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aetherflow.cli.observers import ShowOptions
from aetherflow.cli.printing import print_note
from aetherflow.config.settings import Settings
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.written_path import setting_path


@asynccontextmanager
async def metrics_file(show: ShowOptions, settings: Settings) -> AsyncIterator[Sequence[ObserverSpec]]:
    """Observe the runs of a block, and then add their metrics to the file, if there is one.

    Raises:
        MissingExtra: the library prometheus-client is not installed.
        UnclearPath: nobody can say which file the option names.
    """
    path = setting_path(show.metrics_file) if show.metrics_file else settings.metrics_textfile
    if path is None:
        yield ()
        return
    from aetherflow.runs.metrics_file import MetricsFile  # noqa: PLC0415 - few runs have one

    file = MetricsFile(path, settings.file_access)
    try:
        yield (ObserverSpec("metrics file", lambda: file, "wait_briefly"),)
    finally:
        await file.write()
        for warning in file.warnings.values():
            print_note(str(warning))
