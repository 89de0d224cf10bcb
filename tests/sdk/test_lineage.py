"""What a step notes about its data: masked, bounded, and in the event that ends it."""

from __future__ import annotations

from pathlib import Path

from aetherflow import Dataset, Statement
from aetherflow.redaction import Redactor
from aetherflow.sdk.lineage import MOST_CHARACTERS, MOST_DATASETS, Lineage


def test_a_data_set_that_is_named_again_is_there_once_with_its_last_facts() -> None:
    noted = Lineage()

    noted.add([Dataset.file(Path("/a"))], [], [])
    noted.add([Dataset.file("/a", rows=3), Dataset("sftp://h:22", "/a")], [Dataset.file("/b", size=7)], [])

    assert noted.fields(Redactor()) == {
        "reads": [Dataset("file", "/a", rows=3), Dataset("sftp://h:22", "/a")],
        "writes": [Dataset("file", "/b", bytes=7)],
    }


def test_secrets_are_masked_and_texts_can_be_stored() -> None:
    noted = Lineage()
    noted.add(
        [Dataset.file("/data/hush-1/x")],
        [Dataset.file("/data/\udcff")],
        [
            Statement("select 'hush-1'", "postgres://hush-1:5432", "db_hush-1", "s\udcff"),
            Statement("x" * (MOST_CHARACTERS + 5)),
        ],
    )

    found = noted.fields(Redactor(["hush-1"]))

    assert found["reads"][0].name == "/data/***/x"
    assert found["writes"][0].name == "/data/\\udcff"
    assert (found["statements"][0].sql, found["statements"][0].namespace) == (
        "select '***'",
        "postgres://***:5432",
    )
    assert (found["statements"][0].database, found["statements"][0].schema) == ("db_***", "s\\udcff")
    assert len(found["statements"][1].sql) == MOST_CHARACTERS + 1


def test_a_transfer_of_many_files_makes_no_large_event() -> None:
    noted = Lineage()

    noted.add([Dataset.file(f"/{number}") for number in range(1000)], [], [])
    noted.add([Dataset.file("/0", rows=1)], [], [])

    reads = noted.fields(Redactor())["reads"]
    assert len(reads) == MOST_DATASETS
    assert reads[0].rows == 1
    assert Lineage().fields(Redactor()) == {}
