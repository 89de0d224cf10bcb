#!/bin/sh
# Make a sales database, check it, fill an Excel report with it, and show what is in it.
# Python 3.11 or newer is all this needs.
set -eu
cd "$(dirname "$0")/../.."
demo=demo/usecase-report
flow=$demo/flows/sales_report.yaml

if [ ! -x .venv/bin/aetherflow ] || ! .venv/bin/python -c 'import aetherflow, lxml, python_calamine' 2>/dev/null; then
    echo "== Installing AetherFlow with the extra for Excel into .venv (once, less than a minute)"
    sh demo/install.sh excel
fi
. "$demo/environment.sh"
bin=.venv/bin

echo "== Making the sales database $SALES_DATABASE"
$bin/python "$demo/make_sales.py" "$SALES_DATABASE"
echo "== Checking the flow: aetherflow validate $flow"
$bin/aetherflow validate "$flow"
echo "== Running it: aetherflow run $flow"
$bin/aetherflow run "$flow" "$@"
report=$(cd "$DEMO_DIR" && find work -name sales-report.xlsx | xargs ls -t | head -n 1)
echo "== The report, $DEMO_DIR/$report, begins with"
$bin/python "$demo/show_report.py" "$DEMO_DIR/$report"
