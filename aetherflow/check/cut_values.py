"""Warn about a secret that a `#` cuts: YAML takes what follows a blank and `#` for a comment."""

from __future__ import annotations

import re

from aetherflow.errors import Position
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.redaction import names_a_secret

_CUT = re.compile(
    rb"^ *(?:- +)*(?P<key>[A-Za-z][\w.-]*) *:[ \t]+"
    rb"[^\s'\"#|>{\[&*!][^'\"\r\n]*?[ \t](?P<cut>#[^\s#!][^\r\n]*)",
    re.MULTILINE,
)
"""A plain value with a `#` that no blank follows; who writes a comment mostly writes one."""


def check_cut_values(sink: DiagnosticSink) -> None:
    """Warn about each value of a key named like a secret that ends before a `#` (AF440)."""
    source = sink.document.source
    for found in _CUT.finditer(source) if b"#" in source else ():
        key = found["key"].decode()
        if not names_a_secret(key):
            continue
        line = source.count(b"\n", 0, found.start()) + 1
        column = len(source[found.start() : found.start("cut")].decode(errors="replace")) + 1
        message = f"the value of {key!r} ends before the '#': what follows is a comment"
        hint = "put the whole value in quotes, or write a blank after the '#' of a comment"
        sink.add(Position(line, column), "AF440", message, hint, "warning")
