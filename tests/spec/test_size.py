"""Sizes of files as people write them."""

from __future__ import annotations

import pytest

from aetherflow.spec.size import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1500", 1500),
        ("1500B", 1500),
        ("10k", 10_000),
        ("10kB", 10_000),
        ("10 KB", 10_000),
        ("1.5MB", 1_500_000),
        ("1MiB", 1_048_576),
        ("1mib", 1_048_576),
        ("0.5 KiB", 512),
        (" 2GB ", 2_000_000_000),
        ("1TiB", 1_099_511_627_776),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_a_size_is_so_many_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "kB", "-1", "1 e3", "10X", "1iB", "1,5MB", "10 kBs", "inf", "٣"])
def test_everything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size: write bytes"):
        parse_size(text)
