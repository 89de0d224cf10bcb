#!/bin/sh
# Install AetherFlow with an extra (db, dev ...) into .venv, and show what is fetched. Used by demo/run.sh and tests/run.sh.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --disable-pip-version-check --no-color --progress-bar off --editable ".[$1]" |
    while read -r word what _; do
        case "$word $what" in
        "Collecting "*) echo "   fetching $what" ;;
        "Installing build") echo "   preparing the build" ;;
        "Installing collected") echo "   installing" ;;
        esac
    done
.venv/bin/aetherflow --version  # fails if the installation did
