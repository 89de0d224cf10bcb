# What this demo needs in the environment, beside its variables. Read it with `. demo/usecase-multiflows-remote/environment.sh`.
case "${DEMO_DIR:=demo/output/multiflows-remote}" in /*) ;; *) DEMO_DIR="$PWD/$DEMO_DIR" ;; esac
export DEMO_DIR   # all that the demo writes is in this folder
export AETHERFLOW_STATE_ROOT="$DEMO_DIR/state" AETHERFLOW_WORK_ROOT="$DEMO_DIR/work"
unset AETHERFLOW_PROFILES_FILE AETHERFLOW_SECRETS_PATH AETHERFLOW_PLUGIN_PATHS   # the bundle brings its own
PATH="$PWD/.venv/bin:$PATH"
