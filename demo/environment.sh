# What the demo needs in the environment. Read it with `. demo/environment.sh`, from the project's root.
case "${DEMO_DIR:=demo/output}" in /*) ;; *) DEMO_DIR="$PWD/$DEMO_DIR" ;; esac
export DEMO_DIR   # all that the demo writes is in this folder
export AETHERFLOW_STATE_ROOT="$DEMO_DIR/state"
export AETHERFLOW_PROFILES_FILE=demo/usecase-singleflow/profiles.yaml
export AETHERFLOW_SECRETS_PATH=demo/usecase-singleflow/secrets/set_envs.py   # optional
export DB_URL="sqlite:///$DEMO_DIR/demo.sqlite"   # the folder is made, as SQLite makes the file
