"""Paths of the engine mean something else on a worker, and only those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import ErrorInfo
from aetherflow.worker.translated_paths import TranslatedPaths

PATHS = TranslatedPaths({"/data": Path("/here/x1/work"), "/data/flows": Path("/here/x1/flow")}, {})


@pytest.mark.parametrize(
    ("engine", "here"),
    [
        ("/data", "/here/x1/work"),
        ("/data/a b\n.csv", "/here/x1/work/a b\n.csv"),
        ("/data/flows/run.py --in=/data/in", "/here/x1/flow/run.py --in=/here/x1/work/in"),
        ('cd "/data" && ls', 'cd "/here/x1/work" && ls'),
        ("file:///data/in", "file:///here/x1/work/in"),
        ("sftp://host/data/in", "sftp://host/data/in"),
        ("/big/data/in", "/big/data/in"),
        ("/data.old/in", "/data.old/in"),
        ("/data-2", "/data-2"),
        ("~/data", "~/data"),
        ({"/data/a": ["/data/b", 1, None]}, {"/here/x1/work/a": ["/here/x1/work/b", 1, None]}),
    ],
)
def test_a_path_of_the_engine_is_one_of_the_worker_and_back(engine: Any, here: Any) -> None:
    assert PATHS.here(engine) == here
    assert PATHS.there(here) == engine


def test_a_struct_is_translated_in_all_its_fields() -> None:
    error = ErrorInfo("AF700", "see /here/x1/work/a", detail={"log": ["/here/x1/flow/b"]})
    assert PATHS.there(error) == ErrorInfo("AF700", "see /data/a", detail={"log": ["/data/flows/b"]})
