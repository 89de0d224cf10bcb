#!/bin/sh
# Everything that must pass: format, lint, types, import contracts, tests (the torture suite at its small size).
#
#   sh tests/run.sh                      all of it, in about seven minutes on two cores
#   sh tests/run.sh tests/engine -x      the checks, then these tests: the arguments are pytest's
#
# It needs Python 3.11 or newer (PYTHON names another one than python3) and installs what else it needs into .venv.
# PYTEST_WORKERS is how many tests run at once. Many of them wait for processes, so there are more than cores.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED  # pytest compiles each test file; commands that inherit them start cold
bin=.venv/bin
installed=.venv/installed-for-tests
say() { printf '\n== %s\n' "$*"; }

if [ ! "$installed" -nt pyproject.toml ]; then
    say "Install what the tests need into .venv (one or two minutes, once)"
    sh demo/install.sh dev
    touch "$installed"
fi
$bin/python -m compileall -q aetherflow plugins

say "Format and lint (ruff)"
$bin/ruff format --check .
$bin/ruff check .

say "Types (mypy) and import contracts (lint-imports)"
$bin/mypy & types=$!
$bin/python -m pytest --collect-only -q >/dev/null 2>&1 & tests=$!  # compiles the test files, once for all workers
trap 'kill $types $tests 2>/dev/null; exit 130' INT TERM  # a shell lets what is in the background ignore Ctrl-C
contracts=0
$bin/lint-imports --no-logo || contracts=$?
wait $types
wait $tests || true  # the tests themselves say what is wrong
trap - INT TERM
[ $contracts = 0 ]

workers=${PYTEST_WORKERS:-$(($(nproc) * 2))}
say "Tests ($workers at once; just torture runs the large sizes)"
command -v cc >/dev/null || echo "No C compiler: tests of failing disks are skipped (Debian: apt-get install gcc libc6-dev)."
$bin/python -m pytest -n "$workers" --dist worksteal -q --durations=10 --durations-min=5 "$@"
