#!/bin/sh
# Install AetherFlow with an extra (db, dev ...) into .venv, and show what is fetched. Used by demo/run.sh and tests/run.sh.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
failed=.venv/installation-failed  # a pipe has the exit code of its last command only
rm -f "$failed"
{
    .venv/bin/python -m pip install --disable-pip-version-check --no-color --progress-bar off --editable ".[$1]" ||
        : > "$failed"
} |
    while read -r word what rest; do
        case "$word $what $rest" in
        "Collecting "*) echo "   fetching $what" ;;
        "Installing build dependencies: started"*) echo "   preparing the build" ;;
        "Installing collected packages"*) echo "   installing" ;;
        esac
    done
[ ! -e "$failed" ]
