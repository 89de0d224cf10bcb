"""Secrets in data that is sent to a worker: replaced by references there is a value for on the other side.

A text that holds the value of a variable which is secret gets a reference to the variable in its place. It
begins with random digits that only the two sides know, so nobody who writes an input can make a worker put
in a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from aetherflow.errors import FinalError
from aetherflow.redaction import MASK, SHORTEST, Redactor, names_a_secret

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value in a tree."""

_START, _END = "\x02", "\x03"
_TEMPLATE = re.compile(r"\{\{.*?\}\}")


class SecretOnlyHere(FinalError):
    """A secret that only the engine knows is needed on a worker."""

    default_code = "AF807"


class NotSendable(FinalError):
    """An input cannot be sent to a worker."""

    default_code = "AF809"


class SecretReferences(msgspec.Struct, frozen=True):
    """How the two sides of one run name secrets.

    Attributes:
        nonce: random digits.
    """

    nonce: str

    def to(self, name: str) -> str:
        """Return the reference to a variable."""
        return f"{_START}{self.nonce} {name}{_END}"

    def names_in(self, value: Any) -> Iterator[str]:
        """Yield the variables that are referred to in a tree of data, keys included."""
        match value:
            case str():
                yield from self._pattern.findall(value)
            case Mapping():
                for key, item in value.items():
                    yield from self.names_in(key)
                    yield from self.names_in(item)
            case list() | tuple():
                for item in value:
                    yield from self.names_in(item)
            case _:
                return

    def reveal(self, value: Any, look_up: Callable[[str], str]) -> Any:
        """Return a tree of data with the values in the place of the references."""
        match value:
            case str():
                if self.nonce not in value:
                    return value
                return self._pattern.sub(lambda found: look_up(found[1]), value)
            case Mapping():
                return {self.reveal(key, look_up): self.reveal(item, look_up) for key, item in value.items()}
            case list() | tuple():
                return [self.reveal(item, look_up) for item in value]
            case _:
                return value

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"{_START}{self.nonce} ([^{_START}{_END}]*){_END}")


class Concealer:
    """Replaces secrets by references: those that are values of variables, which workers have too."""

    def __init__(
        self, references: SecretReferences, variables: Mapping[str, str], redactor: Redactor
    ) -> None:
        """Take the variables of a run; the longest value wins, so that none is found inside another.

        Args:
            references: how they are written.
            variables: of the run.
            redactor: knows the secrets of the run.
        """
        self.references = references
        self._redactor = redactor
        by_length = sorted(variables.items(), key=lambda item: (-len(item[1]), not names_a_secret(item[0])))
        self._variables = [(name, value) for name, value in by_length if value]

    def inputs(self, step: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs of a step without secrets.

        Raises:
            SecretOnlyHere: one holds a secret that is no variable: a worker could not know it.
            NotSendable: one is no UTF-8.
        """
        return {
            self._text(key, f"a key of the inputs of step {step}"): self._tree(
                value, f"the input {key!r} of step {step}"
            )
            for key, value in inputs.items()
        }

    def written(self, tree: Any, what: str, kept: Collection[Path] = (), at: Path = ()) -> Any:
        """Return data as a file has it, with templates; a secret that no worker can know refers to its place.

        Args:
            tree: the data.
            what: what it belongs to.
            kept: the places of values that stay as they are: encoded ones.
            at: the place of the tree.
        """
        if at in kept:
            return tree
        place = f"{what}: {'.'.join(map(str, at))}"
        match tree:
            case str():
                try:
                    return self._text(tree, place, written=True)
                except SecretOnlyHere:
                    return self.references.to(place)
            case Mapping():
                return {key: self.written(item, what, kept, (*at, key)) for key, item in tree.items()}
            case list() | tuple():
                return [self.written(item, what, kept, (*at, number)) for number, item in enumerate(tree)]
            case bool() | None:
                return tree
            case _:
                return tree if self._redactor.value(tree) == tree else self.references.to(place)

    def _tree(self, value: Any, what: str) -> Any:
        match value:
            case str():
                return self._text(value, what)
            case Mapping():
                return {
                    self._text(key, what) if isinstance(key, str) else key: self._tree(item, f"{what}, {key}")
                    for key, item in value.items()
                }
            case list() | tuple():
                return [self._tree(item, what) for item in value]
            case bool() | None:
                return value
            case _:
                if self._redactor.value(value) != value:
                    raise _only_here(what)
                return value

    def _text(self, text: str, what: str, *, written: bool = False) -> str:
        """Return a text with references; what is left of it holds no secret.

        Raises:
            SecretOnlyHere: it does.
            NotSendable: it is no UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotSendable(
                f"{what} is no UTF-8, so it cannot be sent to a worker",
                hint="run the step with executor: local, or write the value in UTF-8",
            ) from None
        if self._redactor.text(text) == text:
            return text
        rest = concealed = text
        for name, value in self._variables:
            is_there = text == value or (len(value) >= SHORTEST and value in rest)
            if is_there and self._redactor.text(value) != value:
                concealed = concealed.replace(value, self.references.to(name))
                rest = rest.replace(value, MASK)
        if written:
            rest = _TEMPLATE.sub(MASK, rest)
        if self._redactor.text(rest) != rest:
            raise _only_here(what)
        return concealed


def _only_here(what: str) -> SecretOnlyHere:
    return SecretOnlyHere(
        f"{what} holds a secret that no worker can know: a secret parameter, one that is written in a file, "
        "or one that the engine has fetched",
        hint="put it into a variable that the workers have too and write {{env.NAME}}, or run the step with "
        "executor: local",
    )
