#!/bin/sh
# Install AetherFlow into .venv, unless it is there (Python 3.11 or newer is all this needs), and run the demo flow.
set -eu
cd "$(dirname "$0")/.."
flow=demo/usecase-singleflow/flows/demo_flow.yaml

if [ ! -x .venv/bin/aetherflow ] || ! .venv/bin/python -c 'import aetherflow, sqlalchemy' 2>/dev/null; then
    echo "== Installing AetherFlow with the database extra into .venv (once, less than a minute)"
    sh demo/install.sh db
fi
. demo/environment.sh
bin=.venv/bin

echo "== Checking the flow: aetherflow validate $flow"
$bin/aetherflow validate "$flow"
echo "== Running it: aetherflow run $flow"
$bin/aetherflow run "$flow" "$@"
echo "== What the run wrote, below $DEMO_DIR"
(cd "$DEMO_DIR" && find work -type f | sort | tail -n 4 | sed 's/^/   /')
cat <<END
== What to try next (the demo's README goes through all of it: demo/usecase-singleflow/README.md)
   . .venv/bin/activate; . demo/environment.sh
   aetherflow runs list --flow-yaml $flow
   aetherflow graph $flow
   aetherflow help tutorial
END
