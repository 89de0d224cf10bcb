# What the demo needs in the environment. Read it with `. demo/environment.sh`, from the project's root.
export DEMO_DIR="${DEMO_DIR:-$PWD/demo/output}"   # all that the demo writes is in this folder
export AETHERFLOW_STATE_ROOT="$DEMO_DIR/state"
export AETHERFLOW_PROFILES_FILE=demo/usecase-singleflow/profiles.yaml
export AETHERFLOW_SECRETS_PATH=demo/usecase-singleflow/secrets/set_envs.py   # optional
export DB_URL="sqlite:///$DEMO_DIR/demo.sqlite"   # the folder is made, as SQLite makes the file
