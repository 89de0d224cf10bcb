"""Pass the log records of plugins and libraries to the target of their caller."""

from __future__ import annotations

import logging

from aetherflow.plugin_output.targets import LONGEST_RECORD, Level, current_target, target

PLUGIN_PACKAGE = "_aetherflow_plugin_"
"""How the names of the packages begin in which plugin files are imported."""


class Records(logging.Handler):
    """Passes log records of plugins and libraries to the target of the caller."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record, if it is one that is shown."""
        try:
            has_target = current_target() is not None
            if not _is_wanted(record) or (not has_target and record.levelno < logging.WARNING):
                return
            text = self.format(record).rstrip("\n")
            if record.name not in ("root", "py.warnings"):
                own = record.name.startswith(PLUGIN_PACKAGE)
                name = record.name.partition(".")[2] if own else record.name
                text = f"{name}: {text}" if name else text
            if len(text) > LONGEST_RECORD:
                text = f"{text[:LONGEST_RECORD]} ... ({len(text)} characters)"
            target().record(_level_of(record.levelno), text)
        except Exception:  # noqa: BLE001 - an argument that cannot be formatted; shown as logging does
            self.handleError(record)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether a record is shown: of libraries warnings, of plugins and with a level that was set all."""
    if record.levelno >= logging.WARNING or logging.root.level <= logging.DEBUG:
        return True
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        if logger.level:
            return True
        logger = logger.parent
    top = record.name.partition(".")[0]
    return record.name == "root" or top.startswith(PLUGIN_PACKAGE) or top in _packages


def _level_of(number: int) -> Level:
    levels: tuple[tuple[int, Level], ...] = (
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (logging.INFO, "info"),
    )
    return next((level for least, level in levels if number >= least), "debug")


_packages: set[str] = set()
"""The installed packages whose loggers are those of plugins."""


def add_plugin_package(module: str) -> None:
    """Show what the loggers of the package of a module log from `info` on, not from `warning` on."""
    _packages.add(module.partition(".")[0])
