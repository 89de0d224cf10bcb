# What this demo needs in the environment. Read it with `. demo/usecase-report/environment.sh`, from the project's root.
case "${DEMO_DIR:=demo/output/report}" in /*) ;; *) DEMO_DIR="$PWD/$DEMO_DIR" ;; esac
export DEMO_DIR   # all that the demo writes is in this folder
export SALES_DATABASE="$DEMO_DIR/sales.sqlite"
