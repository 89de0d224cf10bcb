#!/bin/sh
# Set the project up in .venv (Python 3.11 or newer is all it needs) and run the demo flow.
set -eu
cd "$(dirname "$0")/.."
if [ ! -x .venv/bin/aetherflow ]; then
    echo "Setting up .venv ..."
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    .venv/bin/python -m compileall -q aetherflow plugins
fi
export AETHERFLOW_PROFILES_FILE=demo/usecase-singleflow/profiles.yaml
export AETHERFLOW_SECRETS_PATH=demo/usecase-singleflow/secrets/set_envs.py
export DB_URL=sqlite:///demo_state/demo.sqlite
flow=demo/usecase-singleflow/flows/demo_flow.yaml
.venv/bin/aetherflow validate "$flow"
.venv/bin/aetherflow run "$flow" "$@"
