"""Read the parameters of a run: check the given values against the declarations of the flow."""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from aetherflow.config.param_values import Reading, UnfitValue, convert, described, text_of
from aetherflow.errors import UsageError
from aetherflow.redaction import names_a_secret
from aetherflow.spec.flow import ParamSpec, ParamType
from aetherflow.spec.suggest import did_you_mean

_CODE = "AF560"
_EXAMPLES: Mapping[ParamType, str] = {
    "int": "1",
    "float": "1.5",
    "bool": "true",
    "date": "today",
    "datetime": "2026-01-31T22:00:00Z",
    "duration": "5m",
    "path": "FILE",
    "list": "a,b",
    "json": "{}",
}


class ParamsError(UsageError):
    """Parameters are unknown, missing or unfit.

    Attributes:
        missing: the required ones that have no value, each with an example of one.
    """

    default_code = _CODE

    def __init__(self, problems: list[str], missing: Mapping[str, str]) -> None:
        hint = f"add to the command: {as_options(missing)}" if missing else ""
        super().__init__("; ".join(problems), hint=hint)
        self.missing = missing


def as_options(examples: Mapping[str, str]) -> str:
    """Return parameters as a command line has them."""
    return " ".join(f"--param {name}={shlex.quote(text)}" for name, text in examples.items())


def missing_params(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the required parameters that have no value, each with an example; the values are checked.

    Raises:
        ParamsError: others are unknown or unfit.
    """
    values = read_params(specs, given, require=False)
    return {
        name: _example(name, spec)
        for name, spec in specs.items()
        if spec.is_required and values[name] is None
    }


def params_report(specs: Mapping[str, ParamSpec]) -> dict[str, dict[str, Any]]:
    """Return the declarations as data, each with `required`; secret defaults are masked."""
    report = {
        name: msgspec.to_builtins(spec) | {"required": spec.is_required} for name, spec in specs.items()
    }
    for name, keys in report.items():
        if names_a_secret(name) and keys.get("default") is not None:
            keys["default"] = "***"
    return report


def explained_param(name: str, spec: ParamSpec) -> str:
    """Return what a parameter takes, in one line; a default that is named like a secret is masked."""
    parts = [f"{spec.type}, one of {', '.join(map(text_of, spec.enum))}" if spec.enum else spec.type]
    parts += [f"pattern {spec.pattern}"] if spec.pattern is not None else []
    parts += [
        f"{key} {text_of(bound)}"
        for key, bound in (("min", spec.min), ("max", spec.max))
        if bound is not None
    ]
    if spec.default is not msgspec.UNSET and spec.default is not None:
        parts.append(f"default {'***' if names_a_secret(name) else text_of(spec.default)}")
    else:
        parts.append("required" if spec.is_required else "optional")
    about = f": {spec.description.strip()}" if spec.description else ""
    return f"{', '.join(parts)}{about}"


def read_params(
    specs: Mapping[str, ParamSpec],
    given: Mapping[str, Any],
    *,
    reading: Reading | None = None,
    require: bool = True,
) -> dict[str, Any]:
    """Return a value for every declared parameter: as given, else its default, else null.

    Dates and times become text in ISO 8601, as they are stored. Texts are converted to the declared type.

    Raises:
        ParamsError: unknown, missing or unfit parameters; all of them are named.
    """
    problems: list[str] = []
    for name in given:
        if name not in specs:
            known = did_you_mean(name, specs) or (
                f"it has {', '.join(specs)}" if specs else "it declares none"
            )
            problems.append(f"the flow has no parameter {name!r}: {known}")
    of_flow = reading.of_flow() if reading else None
    values: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, spec in specs.items():
        value, how = given.get(name), reading
        if value is None:  # null in a scheduler file means the same as no value
            value, how = spec.default, of_flow
        if value is None or value is msgspec.UNSET:
            if spec.is_required and require:
                problems.append(_missing(name, spec))
                missing[name] = _example(name, spec)
            values[name] = None
            continue
        try:
            values[name] = convert(spec, value, how)
        except UnfitValue as error:
            problems.append(f"the parameter {name!r} must be {described(name, error)}")
    if problems:
        raise ParamsError(problems, missing)
    return values


def require_params(
    specs: Mapping[str, ParamSpec], params: Mapping[str, Any], null_is_fine: Container[str] = ()
) -> None:
    """Check that every required parameter has a value, of those that `read_params` returned.

    Raises:
        ParamsError: some have none; all of them are named.
    """
    missing = {
        name: spec
        for name, spec in specs.items()
        if spec.is_required and params[name] is None and name not in null_is_fine
    }
    if missing:
        raise ParamsError(
            [_missing(name, spec) for name, spec in missing.items()],
            {name: _example(name, spec) for name, spec in missing.items()},
        )


def _missing(name: str, spec: ParamSpec) -> str:
    choice = f", one of {', '.join(map(text_of, spec.enum))}" if spec.enum else ""
    about = f": {spec.description.strip()}" if spec.description else ""
    return f"the parameter {name!r} is required ({spec.type}{choice}){about}"


def _example(name: str, spec: ParamSpec) -> str:
    """Return a value that the command line could give: the first one of a choice, or one of the type."""
    if names_a_secret(name):
        return "VALUE"
    if spec.enum:
        return text_of(spec.enum[0])
    least = spec.min if spec.min is not None else spec.max
    if least is not None and spec.type in ("int", "float", "date", "datetime", "duration"):
        return text_of(least)
    return _EXAMPLES.get(spec.type, "VALUE")
