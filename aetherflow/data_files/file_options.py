"""The inputs of a step that say how a csv or tsv file is spelled: at its top level, or inside `file`."""

from __future__ import annotations

from typing import Literal

import msgspec

from aetherflow.data_files.dialect import CSV, TSV, Dialect, Quoting, check_dialect

_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r\\n": "\r\n", "\\r": "\r"}
"""What single quotes in YAML leave as it is: delimiter: '\\t'."""


class FileOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a csv or tsv file is spelled.

    Attributes:
        encoding: utf-8 by default.
        delimiter: one character between fields; a tab for tsv, a comma for csv.
        quotechar: `"` by default.
        escapechar: none by default.
        doublequote: whether a quote inside of a field is written twice; true by default.
        quoting: minimal (the default), all, none or nonnumeric.
        linefeed: the end of a line; a line feed by default.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quotechar: str | None = None
    escapechar: str | None = None
    doublequote: bool | None = None
    quoting: Quoting | None = None
    linefeed: str | None = None


class FileKeys(FileOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of inputs with file options: at the top level, or in the group `file`; the top level wins.

    Attributes:
        file: the same keys as a group.
    """

    file: FileOptions | None = None

    def dialect(self, file_format: Literal["csv", "tsv"]) -> Dialect:
        """Return how the file is spelled: the defaults of its format, changed by the options.

        Raises:
            StepError: an option is impossible (AF900).
        """
        given = {}
        for options in (self.file, self):
            if options is not None:
                found = {name: getattr(options, name) for name in FileOptions.__struct_fields__}
                given.update({name: value for name, value in found.items() if value is not None})
        for name in ("delimiter", "linefeed"):
            if given.get(name) in _ESCAPES:
                given[name] = _ESCAPES[given[name]]
        return check_dialect(msgspec.structs.replace(CSV if file_format == "csv" else TSV, **given))
