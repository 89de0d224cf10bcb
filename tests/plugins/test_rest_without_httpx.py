"""Without the package of the extra `rest`: what is said, and what works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from aetherflow_rest.httpx_connector import RestConnector

from aetherflow import MissingExtra
from tests.plugins.rest_parts import resource


@pytest.mark.asyncio
async def test_without_httpx2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "aetherflow_rest.exchange", raising=False)
    monkeypatch.delitem(sys.modules, "aetherflow_rest.failures", raising=False)
    monkeypatch.delitem(sys.modules, "aetherflow_rest.clients", raising=False)
    with pytest.raises(MissingExtra) as caught:
        await RestConnector.open(resource({}))
    assert caught.value.hint == "pip install 'aetherflow[rest]'"
    assert caught.value.info().is_final, "another attempt would miss it too"


def test_the_types_are_known_without_httpx2() -> None:
    code = (
        "import sys; import aetherflow_rest.httpx_connector, aetherflow_rest.rest_request; "
        "assert 'httpx2' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_request_without_httpx2_names_the_extra_and_is_not_tried_again(tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(
        "version: 1\nflow: {id: f, state: {path: state.sqlite}, workspace: {root: work}}\n"
        'resources: {api: {kind: rest, driver: httpx, config: {base_url: "http://127.0.0.1:1"}}}\n'
        "jobs:\n"
        "  - id: a\n"
        "    steps: [{id: s, type: rest_request, inputs: {resource: api}, retry: {max_attempts: 3}}]\n"
    )
    code = "import sys; sys.modules['httpx2'] = None; from aetherflow.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(flow)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done
    assert "AF510: resource 'api' (rest:httpx) needs httpx2, which is not installed" in done.stderr
    assert "pip install 'aetherflow[rest]'" in done.stderr
    assert "attempt" not in done.stderr
