"""The search: all secrets in one pass, and no automaton of all of them for each that is added."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time

import pytest

from aetherflow.redaction import MASK, Redactor
from aetherflow.redaction import search as search_module
from aetherflow.redaction.search import Search, merged


def test_spellings_that_were_added_at_different_times_are_all_found() -> None:
    search = Search()
    for number in range(100):
        search = search.extended([f"secret-{number:03}"])
    text = " ".join(f"secret-{number:03}" for number in range(101)).encode()
    assert len(search.spans(text)) == 100


def test_where_secrets_of_different_times_overlap_the_whole_is_found() -> None:
    search = Search().extended([f"filler-{number}" for number in range(50)] + ["abcd"]).extended(["cdefgh"])
    assert search.spans(b"-abcdefgh-") == [(1, 9)]
    assert merged([(5, 8), (1, 3), (2, 4), (4, 5)]) == [(1, 4), (4, 5), (5, 8)]


def test_adding_secrets_one_by_one_between_lines_builds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    real = search_module._Automaton

    class Counted(real):  # type: ignore[misc, valid-type]  # the class is a name of the module here
        def __init__(self, patterns: frozenset[bytes]) -> None:
            built.append(len(patterns))
            super().__init__(patterns)

    monkeypatch.setattr(search_module, "_Automaton", Counted)
    redactor = Redactor([f"secret-number-{number:04}" for number in range(500)])
    redactor.text("x")
    assert len(built) == 1, "built once, at the first use"
    first = built.pop()
    for number in range(500, 600):
        redactor.add(f"secret-number-{number:04}")
        assert redactor.text(f"<secret-number-{number:04}>") == f"<{MASK}>"
    assert sum(size > first for size in built) <= 2, "the large automaton is rarely built again"
    built.clear()
    redactor.add("secret-number-0000")
    redactor.add_named({"password": "secret-number-0001"})
    redactor.text("x")
    assert built == [], "what is known already changes nothing"


def test_the_library_is_imported_only_when_a_secret_is_known() -> None:
    script = (
        "import sys; from aetherflow.redaction import Redactor; r = Redactor(); r.text('https://u:pw@h'); "
        "assert 'ahocorasick_rs' not in sys.modules; r.add('secret-1'); r.text('x'); "
        "assert 'ahocorasick_rs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("secret", ["z9Qk" * 25_000, "z9Qk" * 25_000 + "END", "k" * 100_000, "z9Qk" * 1000])
def test_a_long_secret_that_repeats_is_registered_and_masked_at_once(secret: str) -> None:
    encoded = base64.b64encode(secret.encode()).decode()
    started = time.process_time()
    redactor = Redactor([secret])
    masked = redactor.text(f"<{secret}> {encoded} {json.dumps(secret)}")
    assert time.process_time() - started < 1, "it was 17 seconds for a sixth of it"
    assert masked == f'<{MASK}> {MASK} "{MASK}"'
    assert redactor.bytes(f"<{secret}>\n".encode()) == f"<{MASK}>\n".encode()


def test_an_automaton_has_no_long_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    import ahocorasick_rs  # noqa: PLC0415 - as the module does

    sizes: list[int] = []
    real = ahocorasick_rs.BytesAhoCorasick

    def counted(patterns: list[bytes], kind: ahocorasick_rs.MatchKind) -> object:
        sizes.extend(map(len, patterns))
        return real(patterns, kind)

    monkeypatch.setattr(ahocorasick_rs, "BytesAhoCorasick", counted)
    redactor = Redactor(["z9Qk" * 25_000])
    redactor.text("x")
    assert 0 < len(sizes) < 20
    assert max(sizes) <= search_module._HEAD


def test_of_long_secrets_that_begin_alike_each_is_masked_whole_and_a_cut_one_as_far_as_it_is_there() -> None:
    common = "".join(f"{number:04}" for number in range(200))
    search = Search().extended([f"{common}-one-and-more", f"{common}-two", "short-one"])
    for text, size in ((f"{common}-one-and-more", 813), (f"{common}-two", 804), (f"{common}-on.", 803)):
        assert search.spans(f"<{text}> short-one".encode()) == [
            (1, 1 + size),
            (3 + len(text), 12 + len(text)),
        ]
    assert Search().extended([common]).spans(common[:300].encode()) == []


def test_the_lines_of_a_long_secret_are_masked_one_by_one() -> None:
    lines = [f"line {number} of the key" for number in range(1000)]
    redactor = Redactor(["\n".join(lines)])
    assert redactor.text(f"<{lines[7]}> <{lines[-1]}>") == f"<{MASK}> <{MASK}>"


def test_a_secret_of_very_many_digits_is_a_text() -> None:
    assert Redactor(["7" * 5000]).value(["7" * 5000, 7.5]) == [MASK, 7.5]
