"""The tables of the manual that are written from the code: keys, settings, steps, events.

A page has `<!-- generated: NAME -->`, the table, and `<!-- end -->`;
`python -m tests.manual.refresh` writes it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

from aetherflow import registry
from aetherflow.admin.event_schema import event_types, meanings, own_struct
from aetherflow.cli.examples import EXAMPLES
from aetherflow.cli.type_fields import fields_of
from aetherflow.config.settings import Settings
from aetherflow.engine.state_diagram import state_diagram
from aetherflow.events import run_events, schedule_events
from aetherflow.observe.event_record import EventRecord, own_fields, record_name
from aetherflow.observe.metric_definitions import METRICS
from aetherflow.spec import flow, manifest, project, schedule
from aetherflow.spec.decode import unwrapped
from aetherflow.spec.json_schema import described
from aetherflow.spec.spelling import is_duration
from tests.language import comparison_table
from tests.manual.command_tree import commands

GENERATED = re.compile(
    r"(?P<head>^<!-- generated: (?P<name>[^\n]+?) -->\n)(?P<table>.*?)(?P<end>^<!-- end -->)",
    re.MULTILINE | re.DOTALL,
)


def with_tables(page: str) -> str:
    """Return a page with its generated tables as the code has them now."""
    return GENERATED.sub(lambda match: f"{match['head']}\n{table(match['name'])}\n{match['end']}", page)


def table(name: str) -> str:
    """Return a table by its name, such as `keys of JobSpec`."""
    kind, _, what = name.partition(" of ")
    return "\n".join(_TABLES[kind](what)).rstrip() + "\n"


def _keys(name: str) -> Iterator[str]:
    struct = next(
        getattr(module, name) for module in (flow, schedule, manifest, project) if hasattr(module, name)
    )
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    _, attributes = described(struct)
    for field in kinds.type_info(struct).fields:  # type: ignore[attr-defined]  # a Struct has fields
        _, about = unwrapped(field.type)
        default = "required" if field.required else _default(field)
        meaning = _cell(attributes.get(field.name) or about or "")
        yield f"| `{field.encode_name}` | {_kind(field.type)} | {default} | {meaning} |"


def _default(field: Any) -> str:
    if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        return ""  # the default is UNSET
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or value in ({}, [], "", ()) or isinstance(value, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(value).decode().strip(chr(34))}`"


def _kind(kind: kinds.Type) -> str:
    if is_duration(kind):
        return "duration"
    kind, _ = unwrapped(kind)
    if isinstance(kind, kinds.UnionType):
        parts = [_kind(part) for part in kind.types if not isinstance(part, kinds.NoneType)]
        return " or ".join(dict.fromkeys(parts))
    if isinstance(kind, kinds.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values if value != "")
    if isinstance(kind, kinds.ListType | kinds.VarTupleType):
        return f"list of {_plural(_kind(kind.item_type))}"
    if isinstance(kind, kinds.StructType):
        return "mapping"
    return _WORDS.get(type(kind), "any")


_WORDS = {
    kinds.StrType: "text",
    kinds.BoolType: "`true`, `false`",
    kinds.IntType: "number",
    kinds.FloatType: "number",
    kinds.DictType: "mapping",
    kinds.DateTimeType: "time",
}


def _plural(word: str) -> str:
    return f"{word}s" if word in {"text", "mapping", "number"} else word


def _settings(_: str) -> Iterator[str]:
    yield "| variable | in `aetherflow.yaml` | default | meaning |"
    yield "|---|---|---|---|"
    _, attributes = described(Settings)
    for field in msgspec.structs.fields(Settings):
        if field.name != "sources":
            default = "" if field.default in (msgspec.NODEFAULT, None, ()) else f"`{field.default}`"
            default = default.replace("True", "true").replace("False", "false")
            moved = project.MOVED.get(field.name, "").partition(":")[0]
            place = f"`{moved or field.name}`"
            about = _cell(attributes[field.name])
            yield f"| `AETHERFLOW_{field.name.upper()}` | {place} | {default} | {about} |"


def _step_types(_: str) -> Iterator[str]:
    yield "| step type | what it does |"
    yield "|---|---|"
    for name in registry.STEPS:
        yield f"| `{name}` | {_cell(registry.Registry().step_type(name).summary)} |"


def _inputs(name: str) -> Iterator[str]:
    yield from _fields("input", registry.Registry().step_type(name).input_type)


def _config(name: str) -> Iterator[str]:
    yield from _fields("key", registry.Registry().connector_class(name).config_type)


def _options(name: str) -> Iterator[str]:
    yield from _fields("key", registry.Registry().connector_class(name).options_type)


def _fields(what: str, struct: type[Any]) -> Iterator[str]:
    yield f"| {what} | value | default | meaning |"
    yield "|---|---|---|---|"
    for field, depth in _deep(fields_of(struct)):
        default = "required" if field["required"] else _one_of(field) or _text_default(field)
        meaning = _cell(field.get("description", ""))
        indent = "&nbsp;&nbsp;" * depth
        yield f"| {indent}`{field['name']}` | {_cell(field['type'])} | {default} | {meaning} |"


def _one_of(field: dict[str, Any]) -> str:
    """Return which others are required if this field is not there."""
    others = [f"`{name}`" for name in field.get("one_of", ()) if name != field["name"]]
    return f"this or {' or '.join(others)}" if others else ""


def _text_default(field: dict[str, Any]) -> str:
    value = str(field.get("default", "")).strip('"')
    return f"`{value}`" if value not in {"", "null", "{}", "[]"} else ""


def _outputs(name: str) -> Iterator[str]:
    yield "| output | value | meaning |"
    yield "|---|---|---|"
    for field, depth in _deep(fields_of(registry.Registry().step_type(name).output_type)):
        meaning = _cell(field.get("description", ""))
        yield f"| {'&nbsp;&nbsp;' * depth}`{field['name']}` | {_cell(field['type'])} | {meaning} |"


def _deep(fields: list[dict[str, Any]], depth: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    for field in fields:
        yield field, depth
        yield from _deep(field.get("fields", []), depth + 1)


def _events(_: str) -> Iterator[str]:
    yield "| event | stored | fields of its own | meaning |"
    yield "|---|---|---|---|"
    for event in _event_types():
        stored = "no" if event in run_events.TRANSIENT else "yes"
        yield f"| `{record_name(event)}` | {stored} | {_own_fields(event)} | {_first_line(event)} |"


def _schedule_events(_: str) -> Iterator[str]:
    yield "| event | fields of its own | meaning |"
    yield "|---|---|---|"
    for event in schedule_events.ScheduleEvent.__subclasses__():
        yield f"| `{record_name(event)}` | {_own_fields(event)} | {_first_line(event)} |"


def _record(_: str) -> Iterator[str]:
    yield "| field | value | meaning |"
    yield "|---|---|---|"
    _, attributes = described(EventRecord)
    for field in kinds.type_info(EventRecord).fields:  # type: ignore[attr-defined]  # a Struct has fields
        yield f"| `{field.encode_name}` | {_kind(field.type)} | {_cell(attributes[field.name])} |"


def _event_fields(_: str) -> Iterator[str]:
    yield "| field | value | of | meaning |"
    yield "|---|---|---|---|"
    rows: dict[tuple[str, str, str], list[str]] = {}
    for event in event_types():
        about = meanings(event)
        for field in kinds.type_info(own_struct(event)).fields:  # type: ignore[attr-defined]  # a Struct has fields
            row = field.name, _kind(field.type), _cell(about[field.name])
            rows.setdefault(row, []).append(f"`{record_name(event)}`")
    for (name, value, meaning), events in sorted(rows.items()):
        yield f"| `{name}` | {value} | {', '.join(events)} | {meaning} |"


def _own_fields(event: type[run_events.Event]) -> str:
    more = ("failures", "more_failures", "resume", "repeat") if event is run_events.RunFinished else ()
    return ", ".join(f"`{name}`" for name in (*own_fields(event), *more))


def _first_line(event: type[run_events.Event]) -> str:
    return _cell((event.__doc__ or "").strip().partition("\n")[0])


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    shown = name.rpartition(".")[2]
    yield f"| of `{name}` | meaning |"
    yield "|---|---|"
    for key in getattr(module, "__all__", None) or [*vars(module)]:
        one = getattr(module, key)
        if not key.startswith("_") and inspect.getmodule(one) is not None and _belongs(one, name):
            names = ", ".join(inspect.signature(one).parameters) if inspect.isfunction(one) else ""
            call = f"({names})" if inspect.isfunction(one) else ""
            yield f"| `{shown}.{key}{call}` | {_cell((one.__doc__ or '').strip().partition(chr(10))[0])} |"


def _belongs(one: Any, module: str) -> bool:
    return str(getattr(one, "__module__", "")).startswith(module) and callable(one)


def _commands(_: str) -> Iterator[str]:
    for command in commands():
        yield f"## aetherflow {command.name}"
        yield ""
        yield f"`{command.usage}`: {command.about}"
        yield ""
        if command.options:
            yield "| option | meaning |"
            yield "|---|---|"
            for option in command.options:
                yield f"| `{_cell(option.text)}` | {_cell(option.about)} |"
            yield ""
        yield "```sh"
        yield from EXAMPLES[command.name]
        yield "```"
        yield ""


def _metrics(where: str) -> Iterator[str]:
    yield "| metric | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        if metric.where == where:
            labels = ", ".join(f"`{name}`" for name in metric.labels)
            yield f"| `{metric.name}` | {metric.kind} | {labels} | {_cell(metric.help)} |"


def _comparisons(_: str) -> Iterator[str]:
    rows = comparison_table.table()
    yield f"| | {' | '.join(f'`{name}`' for name in rows)} |"
    yield "|---" * (len(rows) + 1) + "|"
    for name, signs in rows.items():
        yield f"| `{name}` | {' | '.join(signs)} |"


def _event_types() -> list[Any]:
    found = [one for one in vars(run_events).values() if isinstance(one, type)]
    return [
        one
        for one in found
        if issubclass(one, run_events.Event) and not one.__subclasses__() and one is not run_events.Event
    ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_TABLES: dict[str, Callable[[str], Iterator[str]]] = {
    "keys": _keys,
    "settings": _settings,
    "step types": _step_types,
    "inputs": _inputs,
    "config": _config,
    "options": _options,
    "outputs": _outputs,
    "event record": _record,
    "event fields": _event_fields,
    "events": _events,
    "schedule events": _schedule_events,
    "commands": _commands,
    "metrics": _metrics,
    "comparisons": _comparisons,
    "names": _module,
    "state diagram": lambda _: iter([state_diagram()]),
}
