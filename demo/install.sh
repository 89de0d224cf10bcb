#!/bin/sh
# Install AetherFlow with extras (db, or archive,sftp ...) and other packages into .venv, and show what is fetched.
# Used by the demos and tests/run.sh:  sh demo/install.sh EXTRAS [PACKAGE ...]
set -eu
cd "$(dirname "$0")/.."
extras=$1
shift
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
failed=.venv/installation-failed  # a pipe has the exit code of its last command only
rm -f "$failed"
{
    .venv/bin/python -m pip install --disable-pip-version-check --no-color --progress-bar off \
        --editable ".[$extras]" "$@" || : > "$failed"
} |
    while read -r word what rest; do
        case "$word $what $rest" in
        "Collecting "*) echo "   fetching $what" ;;
        "Installing build dependencies: started"*) echo "   preparing the build" ;;
        "Installing collected packages"*) echo "   installing" ;;
        esac
    done
[ ! -e "$failed" ]
