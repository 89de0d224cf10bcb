"""Ways to spoil a YAML file: some know YAML, some know AetherFlow, some are noise."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Mutation = Callable[[random.Random, str], str]

SCALARS = (
    *("", "~", "null", "true", "no", "on", "0", "-1", "1.5", "1e400", "-.inf", ".nan", "0x1F", "0o17", "012"),
    *(
        "9" * 400,
        "9" * 5000,
        "1:30",
        "2026-13-45",
        "2026-01-01T00:00:00Z",
        "{}",
        "[]",
        "[[]]",
        "{a: 1}",
        "'",
        '"',
    ),
    *(
        "*",
        "&a",
        "*a",
        "!!binary x",
        "!!python/object:os.system x",
        "<<: *a",
        "? x",
        "- x",
        "| ",
        ">-",
        "%YAML",
    ),
    *("{{", "}}", "{{x}}", "{{env.HOME}}", "{{jobs.a.outputs.b}}", "{{a.b.c:d}}", "{{ x | y }}", "{% if %}"),
    *("{{" * 50, "{" * 300, "[" * 1200, "{{env.}}", "{{.x}}", "{{x:{{y}}}}", "${HOME}", "$(id)", "../../etc"),
    *(
        "jobs.a.status == 'X'",
        "not " * 60 + "true",
        "(" * 120,
        "a" * 70_000,
        "x in [1, 2",
        "1 < 2 < 3 < null",
    ),
    *(
        "* * * * *",
        "*/0 * * * *",
        "60 24 32 13 8",
        "@daily",
        "@never",
        "0 0 L * *",
        "0 0 * * 5#9",
        "1-0 * * * *",
    ),
    *("Europe/Berlin", "../UTC", "check_items", "with_lock", "db_extract", "sqlite3", "1", "2"),
    *("\x00", "\x07", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff", "\ud7ff", "😀", "e\u0301", "ﬁ", "\t"),
)
KEYS = (
    *(
        "version",
        "flow",
        "jobs",
        "steps",
        "id",
        "type",
        "inputs",
        "outputs",
        "when",
        "depends_on",
        "for_each",
    ),
    *(
        "retry",
        "timeout_seconds",
        "resources",
        "config",
        "items",
        "cron",
        "params",
        "bundle",
        "source",
        "x y",
    ),
    *("depend_on", "stpes", "<<", "", "1", "null", "{{x}}", "é", "a" * 3000),
)


def _lines(change: Callable[[random.Random, list[str]], None]) -> Mutation:
    """Return a mutation of the lines of a text."""

    def mutate(chance: random.Random, text: str) -> str:
        lines = text.split("\n")
        change(chance, lines)
        return "\n".join(lines)

    return mutate


def _delete_line(chance: random.Random, lines: list[str]) -> None:
    del lines[chance.randrange(len(lines))]


def _double_line(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    lines.insert(chance.randrange(number, len(lines) + 1), lines[number])


def _swap_lines(chance: random.Random, lines: list[str]) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _indent_line(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    lines[number] = chance.choice((" ", "  ", "\t", "    ", "- ")) + lines[number]


def _dedent_line(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    lines[number] = lines[number][chance.randrange(1, 4) :]


def _join_lines(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    lines[number : number + 2] = [" ".join(lines[number : number + 2])]


def _value_of_line(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    key, colon, _ = lines[number].partition(":")
    lines[number] = f"{key}{colon} {chance.choice(SCALARS)}"


def _key_of_line(chance: random.Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines))
    blank = lines[number][: len(lines[number]) - len(lines[number].lstrip(" -"))]
    lines[number] = f"{blank}{chance.choice(KEYS)}:{lines[number].partition(':')[2]}"


def _insert(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(SCALARS) + text[at:]


def _cut(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randrange(1, 30) :]


def _truncate(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _anchors(chance: random.Random, text: str) -> str:
    """Make an alias of some later value to an earlier one, or to itself."""
    places = [number for number, sign in enumerate(text) if text[number : number + 2] == ": "]
    if len(places) < 2:
        return text
    first, second = sorted(chance.sample(places, 2))
    return f"{text[: first + 2]}&z {text[first + 2 : second + 2]}*z {text[second + 2 :]}"


def _bomb(chance: random.Random, text: str) -> str:
    depth = chance.randrange(2, 40)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, depth)]
    return "\n".join([*lines, text])


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Return every container with a key of it; what aliases share counts once."""
    spots: list[tuple[Any, Any]] = []
    waiting, seen = [value], set()
    while waiting:
        holder = waiting.pop()
        if not isinstance(holder, dict | list) or id(holder) in seen:
            continue
        seen.add(id(holder))
        for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            spots.append((holder, key))
            waiting.append(item)
    return spots


def _tree(change: Callable[[random.Random, Any, Any, list[tuple[Any, Any]]], None]) -> Mutation:
    """Return a mutation of the data of a text; it leaves what is no YAML alone."""

    def mutate(chance: random.Random, text: str) -> str:
        try:
            value = yaml.load(text, _Loader)  # noqa: S506 - it is the safe one
            spots = _spots(value)
        except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError):
            return text
        if not spots:
            return text
        change(chance, *chance.choice(spots), spots)
        try:
            style = chance.choice((None, False, True))
            dumped = yaml.dump(
                value, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=style
            )
            return str(dumped)
        except (yaml.YAMLError, RecursionError, UnicodeError):
            return text

    return mutate


def _swap_values(chance: random.Random, holder: Any, key: Any, spots: list[tuple[Any, Any]]) -> None:
    other, its = chance.choice(spots)
    holder[key], other[its] = other[its], holder[key]


def _change_type(chance: random.Random, holder: Any, key: Any, _: list[tuple[Any, Any]]) -> None:
    value = holder[key]
    holder[key] = chance.choice(
        ([value], {"a": value}, f"{type(value)}", 5, 1.5, True, None, [], {}, [[value, value]], {"id": value})
    )


def _drop(_: random.Random, holder: Any, key: Any, __: list[tuple[Any, Any]]) -> None:
    del holder[key]


def _nest(chance: random.Random, holder: Any, key: Any, _: list[tuple[Any, Any]]) -> None:
    for _number in range(chance.choice((3, 30, 99, 101, 150))):
        holder[key] = {"k": holder[key]} if chance.random() < 0.5 else [holder[key]]


def _rename(chance: random.Random, holder: Any, key: Any, _: list[tuple[Any, Any]]) -> None:
    if isinstance(holder, dict):
        letters = list(str(key))
        if letters:
            letters[chance.randrange(len(letters))] = chance.choice("aeiou_-. ")
        holder["".join(letters)] = holder.pop(key)


def _repeat(chance: random.Random, holder: Any, key: Any, _: list[tuple[Any, Any]]) -> None:
    holder[key] = [holder[key]] * chance.choice((2, 50, 500))


def _scalar(chance: random.Random, holder: Any, key: Any, _: list[tuple[Any, Any]]) -> None:
    holder[key] = chance.choice(SCALARS)


MUTATIONS: tuple[Mutation, ...] = (
    *map(_lines, (_delete_line, _double_line, _swap_lines, _indent_line, _dedent_line, _join_lines)),
    *map(_lines, (_value_of_line, _key_of_line)),
    *(_insert, _cut, _truncate, _anchors, _bomb),
    *map(_tree, (_swap_values, _swap_values, _change_type, _change_type, _drop, _drop, _nest, _rename)),
    *map(_tree, (_rename, _rename, _repeat, _scalar, _scalar, _scalar, _scalar)),
)


def spoiled(chance: random.Random, text: str) -> bytes:
    """Return a file after a few mutations, and in one of eight cases with noise in its bytes."""
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3, 5))):
        text = chance.choice(MUTATIONS)(chance, text)[:300_000]
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if chance.random() < 0.125:
        for _ in range(chance.choice((1, 1, 2, 20))):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    return bytes(data)
