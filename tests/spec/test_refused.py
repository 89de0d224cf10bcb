"""YAML that cannot be trusted is refused: each bad text, and the whole of what is said about it."""

from __future__ import annotations

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.spec.document import parse_document


def complaint(text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as raised:
        parse_document(text, "f.yaml")
    return str(raised.value)


BOMB = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))

REFUSED: dict[str, tuple[str | bytes, str]] = {
    "nothing": (
        "",
        "f.yaml:1:1: error[AF107]: the file is empty\n    hint: write 'key: value' lines into it",
    ),
    "only a byte order mark": (
        b"\xef\xbb\xbf",
        "f.yaml:1:1: error[AF107]: the file is empty\n    hint: write 'key: value' lines into it",
    ),
    "only comments": (
        "# one\n# two\n",
        "f.yaml:1:1: error[AF107]: the file is empty\n    hint: write 'key: value' lines into it",
    ),
    "only a document start": (
        "---\n",
        "f.yaml:1:1: error[AF107]: the file is empty\n    hint: write 'key: value' lines into it",
    ),
    "duplicate keys, all of them": (
        "a: 1\nb: 2\na: 3\nc: {x: 1, x: 2}\n",
        (
            "f.yaml:3:1: error[AF104]: duplicate key 'a': it is already on line 1\n"
            "    hint: remove one of the two\n"
            "f.yaml:4:11: error[AF104]: duplicate key 'x': it is already on line 4\n"
            "    hint: remove one of the two"
        ),
    ),
    "the same key written in two ways": (
        "1: a\n'1': b\n",
        (
            "f.yaml:2:1: error[AF104]: duplicate key '1': it is already on line 1\n"
            "    hint: remove one of the two"
        ),
    ),
    "an error within the value of a duplicate key": (
        "a: 1\na: {b: !x 1}\n",
        (
            "f.yaml:2:1: error[AF104]: duplicate key 'a': it is already on line 1\n"
            "    hint: remove one of the two\n"
            "f.yaml:2:8: error[AF105]: the tag '!x' is not supported here\n"
            "    hint: remove it, or put a text that begins with '!' in quotes "
            "(known tags: !!str !!int !!float !!bool !!null !!map !!seq)"
        ),
    ),
    "a list as a key": (
        "? [a]\n: 1\n",
        (
            "f.yaml:1:3: error[AF105]: a key must be a text, not a list, mapping or alias\n"
            "    hint: a key is one plain or quoted text"
        ),
    ),
    "an alias as a key": (
        "a: &x b\n*x : 1\n",
        (
            "f.yaml:2:1: error[AF105]: a key must be a text, not a list, mapping or alias\n"
            "    hint: a key is one plain or quoted text"
        ),
    ),
    "a template without quotes": (
        "count: {{result.count}}\n",
        (
            "f.yaml:1:9: error[AF105]: a key must be a text, not a list, mapping or alias\n"
            '    hint: a template needs quotes: "{{...}}"'
        ),
    ),
    "a second document": (
        "a: 1\n---\nb: 2\n",
        (
            "f.yaml:2:1: error[AF105]: a second document begins here\n"
            "    hint: keep one document in a file: remove '---'"
        ),
    ),
    "text after the document": (
        "a: 1\n...\nfoo\n",
        (
            "f.yaml:3:1: error[AF103]: text follows the end of the document\n"
            "    hint: remove the line '...' or what follows it"
        ),
    ),
    "a tag that runs code elsewhere": (
        "a: !!python/object/apply:os.system [ls]\n",
        (
            "f.yaml:1:4: error[AF105]: the tag '!!python/object/apply:os.system' is not supported here\n"
            "    hint: remove it, or put a text that begins with '!' in quotes "
            "(known tags: !!str !!int !!float !!bool !!null !!map !!seq)"
        ),
    ),
    "a tag of one's own": (
        "a:\n  - !secret b\n",
        (
            "f.yaml:2:5: error[AF105]: the tag '!secret' is not supported here\n"
            "    hint: remove it, or put a text that begins with '!' in quotes "
            "(known tags: !!str !!int !!float !!bool !!null !!map !!seq)"
        ),
    ),
    "the tag of a list on a mapping": (
        "a: !!seq {b: 1}\n",
        (
            "f.yaml:1:4: error[AF105]: the tag '!!seq' is not supported here\n"
            "    hint: remove it, or put a text that begins with '!' in quotes "
            "(known tags: !!str !!int !!float !!bool !!null !!map !!seq)"
        ),
    ),
    "a value that its tag does not allow": (
        "a: !!int yes\n",
        (
            "f.yaml:1:4: error[AF113]: 'yes' is no value for the tag !!int\n"
            "    hint: put it in quotes to keep it as text"
        ),
    ),
    "a tag on a key": (
        "!x a: 1\n",
        (
            "f.yaml:1:1: error[AF105]: the tag '!x' is not supported here\n"
            "    hint: remove it, or put a text that begins with '!' in quotes "
            "(known tags: !!str !!int !!float !!bool !!null !!map !!seq)"
        ),
    ),
    "a merge key that names no mapping": (
        "a: &x [1]\nc:\n  <<: *x\n",
        (
            "f.yaml:3:7: error[AF114]: '<<' merges mappings, not the number 1\n"
            "    hint: write <<: *name, or <<: [*one, *other]"
        ),
    ),
    "a merge key of a text": (
        "c: {<<: defaults}\n",
        (
            "f.yaml:1:9: error[AF114]: '<<' merges mappings, not the text 'defaults'\n"
            "    hint: write <<: *name, or <<: [*one, *other]"
        ),
    ),
    "two merge keys in one mapping": (
        "a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n",
        (
            "f.yaml:4:3: error[AF104]: duplicate key '<<' in one mapping\n"
            "    hint: merge several mappings with one: <<: [*a, *b]"
        ),
    ),
    "a merge key that names no anchor": (
        "c: {<<: *x}\n",
        (
            "f.yaml:1:9: error[AF103]: alias '*x' names no anchor\n"
            "    hint: define it above with '&', or put a text that begins with '*' in quotes"
        ),
    ),
    "a mapping that merges itself": (
        "a: &x {<<: *x}\n",
        (
            "f.yaml:1:12: error[AF106]: alias '*x' is inside its own anchor\n"
            "    hint: a value cannot hold itself"
        ),
    ),
    "merge keys that explode": (
        "a0: &a0 {k: "
        + "x" * 1000
        + "}\n"
        + "".join(
            f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
        ),
        (
            "f.yaml:4:59: error[AF106]: "
            "with alias '*a2' the aliases of this file stand for 1026066 characters\n"
            "    hint: write the values out, or use fewer aliases within anchors"
        ),
    ),
    "200 levels of lists": (
        "a: " + "[" * 200 + "]" * 200,
        (
            "f.yaml:1:103: error[AF106]: mappings and lists are nested more than 100 deep\n"
            "    hint: is a bracket not closed? otherwise flatten the data"
        ),
    ),
    "200 levels of mappings": (
        "".join(" " * n + "a:\n" for n in range(200)),
        (
            "f.yaml:101:101: error[AF106]: mappings and lists are nested more than 100 deep\n"
            "    hint: is a bracket not closed? otherwise flatten the data"
        ),
    ),
    "900 opening brackets": (
        "[" * 900,
        (
            "f.yaml:1:101: error[AF106]: mappings and lists are nested more than 100 deep\n"
            "    hint: is a bracket not closed? otherwise flatten the data"
        ),
    ),
    "depth that is built from aliases": (
        CHAIN,
        (
            "f.yaml:100:12: error[AF106]: mappings and lists are nested more than 100 deep\n"
            "    hint: is a bracket not closed? otherwise flatten the data"
        ),
    ),
    "aliases that explode": (
        BOMB,
        (
            "f.yaml:6:12: error[AF106]: with alias '*e' the aliases of this file "
            "stand for 1083858 characters\n"
            "    hint: write the values out, or use fewer aliases within anchors"
        ),
    ),
    "a large text behind many aliases": (
        f"a: &a {'x' * 300_000}\nb: [{', '.join(['*a'] * 20)}]\n",
        (
            "f.yaml:2:45: error[AF106]: with alias '*a' the aliases of this file "
            "stand for 3300033 characters\n"
            "    hint: write the values out, or use fewer aliases within anchors"
        ),
    ),
    "an alias inside its own anchor": (
        "a: &a\n  b: [*a]\n",
        (
            "f.yaml:2:7: error[AF106]: alias '*a' is inside its own anchor\n"
            "    hint: a value cannot hold itself"
        ),
    ),
    "an alias without an anchor": (
        "a: *b\n",
        (
            "f.yaml:1:4: error[AF103]: alias '*b' names no anchor\n"
            "    hint: define it above with '&', or put a text that begins with '*' in quotes"
        ),
    ),
    "a text that begins like an alias": (
        "pattern: *.csv\n",
        (
            "f.yaml:1:11: error[AF103]: '*' or '&' begins an alias, and no name follows\n"
            "    hint: put the text in quotes"
        ),
    ),
    "a number of 5,000 digits": (
        "a: " + "9" * 5000,
        (
            "f.yaml:1:4: error[AF113]: a whole number of 5000 characters is too long\n"
            "    hint: put it in quotes to keep it as text"
        ),
    ),
    "a hexadecimal number of 5,000 digits": (
        "a: 0x" + "f" * 5000,
        (
            "f.yaml:1:4: error[AF113]: a whole number of 5002 characters is too long\n"
            "    hint: put it in quotes to keep it as text"
        ),
    ),
    "a fraction beyond all numbers": (
        "a: [1, 1e999]\n",
        (
            "f.yaml:1:8: error[AF113]: the number '1e999' is too large\n"
            "    hint: put it in quotes to keep it as text"
        ),
    ),
    "a whole number too large for its tag": (
        "a: !!float 1" + "0" * 400,
        (
            "f.yaml:1:4: error[AF113]: int too large to convert to float\n"
            "    hint: put it in quotes to keep it as text"
        ),
    ),
    "a byte that is not UTF-8": (
        b"a: 1\nb: \xc3\xa4\xe4\n",
        "f.yaml:2:5: error[AF102]: the byte 0xe4 is not UTF-8\n    hint: save the file as UTF-8",
    ),
    "UTF-16": (
        "a: 1\n".encode("utf-16"),
        "f.yaml:1:1: error[AF102]: this looks like UTF-16\n    hint: save the file as UTF-8",
    ),
    "half of a surrogate pair": (
        "a: 1\nb: \ud83d\n",
        (
            "f.yaml:2:4: error[AF102]: half of a surrogate pair is no character\n"
            "    hint: write the character itself"
        ),
    ),
    "a NUL": (
        b"a: 1\nb: \xc3\xa4\x00\n",
        (
            "f.yaml:2:5: error[AF102]: the control character U+0000 is not allowed\n"
            '    hint: remove it, or write it as an escape in double quotes: "\\u0000"'
        ),
    ),
    "an escape character": (
        "a: '\x1b[31m'\n",
        (
            "f.yaml:1:5: error[AF102]: the control character U+001B is not allowed\n"
            '    hint: remove it, or write it as an escape in double quotes: "\\u001b"'
        ),
    ),
    "a tab as indentation": (
        "a:\n\tb: 1\n",
        "f.yaml:2:1: error[AF103]: a tab cannot indent a line\n    hint: indent with spaces",
    ),
    "a tab as deeper indentation": (
        "a: 1\n\tb: 2\n",
        "f.yaml:2:1: error[AF103]: a tab cannot indent a line\n    hint: indent with spaces",
    ),
    "two keys on a line": (
        "a: b: c\n",
        (
            "f.yaml:1:5: error[AF103]: a key cannot be here\n"
            "    hint: a text that holds ': ' needs quotes; "
            "or check the indentation and the quotes of this line and the one above"
        ),
    ),
    "a character that begins no text": (
        "a: @b\n",
        "f.yaml:1:4: error[AF103]: a text cannot begin with '@'\n    hint: put the text in quotes",
    ),
    "a quote that is not closed": (
        'a: 1\nb: "x\nc: 2\n',
        "f.yaml:2:4: error[AF103]: a quote opens here and is never closed\n    hint: close it",
    ),
    "a list that is not closed": (
        "a: [1, 2\nb: 3\n",
        (
            "f.yaml:2:2: error[AF103]: a ',' or the closing ']' of a list is missing "
            "(the list begins on line 1)\n"
            "    hint: put the text in quotes if it holds brackets or commas"
        ),
    ),
    "a mapping that is not closed": (
        "a: {x: 1\nb: 2\n",
        (
            "f.yaml:2:2: error[AF103]: a ',' or the closing '}' of a mapping is missing "
            "(the mapping begins on line 1)\n"
            '    hint: a text that holds braces needs quotes, a template too: "{{...}}"'
        ),
    ),
    "a key between two indentations": (
        "a:\n  - 1\n b: 2\n",
        (
            "f.yaml:3:2: error[AF103]: this does not fit the mapping around it "
            "(the mapping begins on line 1)\n"
            "    hint: check the indentation and the quotes of this line and the one above"
        ),
    ),
    "a key after list items": (
        "- a\nb: c\n",
        (
            "f.yaml:2:1: error[AF103]: an item of the list above is expected here "
            "(the list begins on line 1)\n"
            "    hint: check the indentation and the quotes of this line and the one above"
        ),
    ),
    "a line without a colon": (
        "a: 1\nb\nc: 2\n",
        (
            "f.yaml:3:1: error[AF103]: this line is no 'key: value'\n"
            "    hint: write a ': ' after the key, or indent a continued text"
        ),
    ),
    "a list on the line of its key": (
        "a: - b\n",
        (
            "f.yaml:1:4: error[AF103]: a list item cannot be here\n"
            "    hint: begin the list on the line below its key"
        ),
    ),
    "an unknown escape": (
        'a: "C:\\data"\n',
        (
            "f.yaml:1:7: error[AF103]: this escape is not known in double quotes\n"
            "    hint: write \\\\ for a backslash, or use single quotes"
        ),
    ),
    "text behind the mark of a block": (
        "a: |x\n  b\n",
        (
            "f.yaml:1:5: error[AF103]: the text after '|' or '>' begins on the line below\n"
            "    hint: start a new line, indented"
        ),
    ),
    "a program instead of YAML": (
        "#!/bin/sh\nset -e\nfor x in *; do echo \"$x\"; done\nif [ $x ]; then echo 'y: z'; fi\n}\n",
        (
            "f.yaml:4:24: error[AF103]: a key cannot be here\n"
            "    hint: a text that holds ': ' needs quotes; "
            "or check the indentation and the quotes of this line and the one above"
        ),
    ),
    "findings before the syntax error are kept": (
        "a: 1\na: 2\nb: [\n",
        (
            "f.yaml:2:1: error[AF104]: duplicate key 'a': it is already on line 1\n"
            "    hint: remove one of the two\n"
            "f.yaml:4:1: error[AF103]: a value is expected here\n"
            "    hint: a text that begins with a bracket, brace or comma needs quotes"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_trusted_is_refused_with_its_place(case: str) -> None:
    text, expected = REFUSED[case]
    assert complaint(text) == expected


def test_brackets_that_the_parser_itself_refuses_are_reported_as_ours() -> None:
    _, _, reported = complaint("[" * 100_000).partition(" ")  # the place is where the parser gave up
    assert reported == (
        "error[AF106]: mappings and lists are nested too deeply\n"
        "    hint: is a bracket not closed? otherwise flatten the data"
    )
