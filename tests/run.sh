#!/bin/sh
# Everything that must pass: format, lint, types, import contracts, tests (the torture suite at its small size).
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/python -m compileall -q aetherflow plugins  # the tests start the command many times
$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
$bin/lint-imports
$bin/python -m pytest -n "${PYTEST_WORKERS:-auto}" --dist worksteal -q "$@"
