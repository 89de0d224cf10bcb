"""Read the entries of `notify` as steps that send messages, and find where those are in the file. Pure.

An entry becomes one step of a type that exists: `mail_send`, `rest_request` or `external.process`. What is
wrong with such a step is reported at the key of the entry that it was made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from aetherflow.events.occasions import ADDRESS, NOTIFY, Occasion
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.flow import FlowFile, NotifySpec, ResourceSpec, RetrySpec, StepSpec

TEST_JOB = "@test-"
"""The job for which a file is read as a flow that sends its messages: followed by what they report."""

RETRY = RetrySpec(max_attempts=3, backoff_seconds=2, jitter=False)

_TYPES = {"mail": "mail_send", "webhook": "rest_request", "command": "external.process"}
_KINDS = {"mail": "mail", "webhook": "rest"}
_KEYS = {
    "mail": ("resource", "recipients", "subject", "body"),
    "webhook": ("resource", "url", "headers", "body"),
    "command": ("command", "env", "body"),
}
"""The keys of an entry that only some entries have, by what it is sent to."""

_OF_INPUTS = {"to": "recipients", "json": "body", "stdin": "body"}
"""The key of an entry that an input was made of, if it has another name."""

_ADDRESS = re.compile(rf"{ADDRESS}(\d+)( of .+)?")

VARIABLES = {
    f"AETHERFLOW_NOTIFY_{name.upper()}": f"{{{{notify.{name}}}}}"
    for name in ("event", "subject", "flow", "run", "item", "status", "resume", "host")
}
"""What a command finds in its environment."""


class MessageStep(StepSpec, frozen=True):
    """A step that sends the message of an entry of `notify`.

    Attributes:
        on: what it reports.
        runs: about which runs.
        number: which entry of its list it is, counted from 1.
    """

    on: tuple[Occasion, ...] = ()
    runs: str = "all"
    number: int = 1


def message_step(spec: NotifySpec, number: int, resource: str) -> MessageStep:
    """Return the step of an entry, the `number`-th of its list; the keys must fit (`wrong_keys`).

    `resource` is the name of the resource of its address, if it has one.
    """
    return MessageStep(
        id=spec.to,
        type=_TYPES[spec.to],
        inputs=_inputs(spec, resource),
        retry=spec.retry or RETRY,
        on=tuple(spec.on),
        runs=spec.runs,
        number=number,
    )


def _inputs(spec: NotifySpec, resource: str) -> dict[str, Any]:
    match spec.to:
        case "mail":
            return {
                "resource": spec.resource,
                "to": spec.recipients,
                "subject": spec.subject or "{{notify.subject}}",
                "body": "{{notify.text}}" if spec.body is None else spec.body,
            }
        case "webhook":
            body = {"text": "{{notify.short}}"} if spec.body is None else spec.body
            inputs = {
                "resource": spec.resource or resource,
                "method": "POST",
                "body" if isinstance(body, str) else "json": body,
            }
            return {**inputs, "headers": spec.headers} if spec.headers else inputs
        case "command":
            return {
                "command": spec.command,
                "cwd": "flow",
                "env": {**VARIABLES, **spec.env},
                "stdin": "{{notify.text}}" if spec.body is None else spec.body,
            }


Wrong = tuple[NodePath, str, str, str]
"""The place in an entry, the code, the message and the hint of something that is wrong."""


def wrong_keys(
    spec: NotifySpec, resources: Mapping[str, ResourceSpec], *, is_in_flow: bool
) -> Iterator[Wrong]:
    """Yield what is missing in an entry, and the keys that do not fit it."""
    for key in sorted({key for keys in _KEYS.values() for key in keys} - {*_KEYS[spec.to]}):
        if getattr(spec, key) not in (None, [], {}):
            fits = " and ".join(to for to, keys in _KEYS.items() if key in keys)
            yield (key,), "AF880", f"{key} is for {fits}, and this entry is for {spec.to}", "remove it"
    yield from _missing(spec)
    used, kind = resources.get(spec.resource or ""), _KINDS.get(spec.to, "")
    if used is not None and kind and used.kind != kind:
        others = ", ".join(
            name for name, one in resources.items() if one.kind == kind and not is_address(name)
        )
        hint = f"there is: {others}" if others else f"declare a resource of kind {kind}"
        yield ("resource",), "AF880", f"a {spec.to} needs a resource of kind {kind}, not {used.kind}", hint
    if is_in_flow and "late" in spec.on:
        hint = "write the entry into the scheduler file, at the item or for all items"
        yield ("on",), "AF881", "whether a run is late is known to its scheduler only", hint


def _missing(spec: NotifySpec) -> Iterator[Wrong]:
    if spec.to == "mail":
        if spec.resource is None:
            hint = "name a resource of kind mail: resource: smtp"
            yield (), "AF880", "a mail needs the resource that sends it", hint
        if not spec.recipients:
            yield (), "AF880", "a mail needs recipients", "recipients: [ops@example.org]"
    elif spec.to == "webhook" and (spec.resource is None) == (spec.url is None):
        hint = 'url: "{{env.CHAT_URL}}", or resource: NAME of a resource of kind rest'
        yield (), "AF880", "a webhook needs either url or resource", hint
    elif spec.to == "webhook" and isinstance(spec.url, str) and not _is_address(spec.url):
        hint = "write https://HOST/PATH; a user and a password belong into a resource of kind rest"
        yield ("url",), "AF880", "url is no web address that a message can be sent to", hint
    elif spec.to == "command" and not (spec.command and spec.command[0]):
        hint = "command: [PROGRAM, ARGUMENT]; it gets the text on its standard input"
        yield (), "AF880", "a command needs the program", hint


def _is_address(url: str) -> bool:
    """Whether a text may be the address of a webhook; one with templates is known when it is sent to."""
    if "{{" in url:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def address_of(number: int, item_id: str = "") -> str:
    """Return the name of the resource of a webhook: of the `number`-th entry of a file, or of an item."""
    return f"{ADDRESS}{number}" + (f" of {item_id}" if item_id else "")


def is_address(name: str) -> bool:
    """Whether a resource is the address of a webhook in `notify`."""
    return _ADDRESS.fullmatch(name) is not None


def message_resource(entry: NotifySpec) -> ResourceSpec | None:
    """Return the resource of the address of a webhook, if the entry has an address.

    It follows no redirect: most lead to a GET without the message, such as to the page of a login, which
    would look as if the message had been sent.
    """
    if entry.to != "webhook" or entry.url is None or entry.resource is not None:
        return None
    config, options = {"base_url": entry.url}, {"follow_redirects": False}
    return ResourceSpec(kind="rest", driver="httpx", config=config, options=options)


class NotifyDocument(Document, frozen=True, eq=False):
    """A flow file whose messages are found where a plan has them: in hooks and in resources."""

    def _find(self, path: NodePath) -> tuple[int, Any, int]:
        return super()._find(moved(path))


def with_messages(flow: FlowFile, document: Document) -> tuple[FlowFile, Document]:
    """Return a flow with the resources of its messages, and the document for its diagnostics."""
    if not flow.flow.notify:
        return flow, document
    same = {name: getattr(document, name) for name in Document.__struct_fields__}
    found = {address_of(number): message_resource(entry) for number, entry in enumerate(flow.flow.notify, 1)}
    own = {name: resource for name, resource in found.items() if resource is not None}
    return replace(flow, resources={**flow.resources, **own}), NotifyDocument(**same)


def moved(path: NodePath) -> NodePath:
    """Return where the file has what a plan has at a path."""
    match path:
        case ("flow", str(hook), 0, *rest) if hook.startswith(NOTIFY[1:]):
            return ("flow", "notify", int(hook.rpartition("-")[2]) - 1, *in_entry(rest))
        case ("resources", str(name), *_) if found := _ADDRESS.fullmatch(name):
            return ("flow", "notify", int(found[1]) - 1, "url")
        case _:
            return path


def in_entry(path: Sequence[str | int]) -> NodePath:
    """Return where an entry has what its step has at a path."""
    match path:
        case ("inputs", str(key), *rest):
            return (_OF_INPUTS.get(key, key), *rest)
        case ("type", *_):
            return ("to",)
        case _:
            return tuple(one for one in path if one != "inputs")
