"""Read parameters from the file of `--params-file`: YAML or JSON, a mapping of names to values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aetherflow.config.param_values import Reading, UnfitValue, convert, described
from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.spec.convert import type_info
from aetherflow.spec.document import Document, read_document
from aetherflow.spec.flow import ParamSpec, ParamValue
from aetherflow.spec.spelling import as_wanted
from aetherflow.spec.suggest import did_you_mean
from aetherflow.written_path import folder_of

CODE = "AF562"


def read_params_file(path: Path, specs: Mapping[str, ParamSpec]) -> dict[str, Any]:
    """Return the parameters in a file; a null is the same as leaving the name out.

    Raises:
        InvalidInput: it cannot be read, is no mapping, or holds what the flow does not declare or cannot
            take; every diagnostic with its place.
    """
    document = read_document(path)
    values = document.value
    if values is None:
        return {}
    if not isinstance(values, dict):
        message = f"a file of parameters is a mapping of names to values, not a {type(values).__name__}"
        raise InvalidInput([document.diagnostic((), CODE, message, "write NAME: VALUE, one a line")])
    values = as_wanted(values, type_info(dict[str, ParamValue]), document.written)
    reading = Reading(datetime.now(UTC).date(), folder_of(path))
    diagnostics = [
        diagnostic
        for name, value in values.items()
        if (diagnostic := _check(document, name, value, specs.get(name), specs))
    ]
    if diagnostics:
        raise InvalidInput(diagnostics)
    return {
        name: convert(specs[name], value, reading) if specs[name].type == "path" else value
        for name, value in values.items()
        if value is not None
    }


def _check(
    document: Document, name: str, value: Any, spec: ParamSpec | None, specs: Mapping[str, ParamSpec]
) -> Diagnostic | None:
    if spec is None:
        hint = did_you_mean(name, specs) or f"it has {', '.join(specs) or 'none'}"
        return document.diagnostic((name,), CODE, f"the flow has no parameter {name!r}", hint)
    try:
        if value is not None:
            convert(spec, value)
    except UnfitValue as error:
        message = f"the parameter {name!r} must be {described(name, error)}"
        return document.diagnostic((name,), CODE, message)
    return None
