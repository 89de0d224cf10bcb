# What a developer types. `just setup` first; it needs Python 3.11 or newer and nothing else.
# Without just: every recipe is plain shell, and the README names the two commands that matter.

python := env("PYTHON", "python3")
bin := ".venv/bin"

# list the recipes
default:
    @just --list

# make .venv with the project and its tools
setup:
    PYTHON={{python}} sh demo/install.sh dev

# run the demo flow
run:
    sh demo/run.sh

# everything that must pass before a commit lands
test:
    sh tests/run.sh

# format, lint, types, import contracts
lint:
    {{bin}}/ruff format --check .
    {{bin}}/ruff check .
    {{bin}}/mypy
    {{bin}}/lint-imports

# rewrite the code as the formatter wants it
format:
    {{bin}}/ruff format .
    {{bin}}/ruff check --fix .

# measure; prints a table of ratios (groups, --rounds N, --json FILE, --against FILE; --help shows all)
bench *ARGS:
    {{bin}}/python tests/benchmarks/run.py {{ARGS}}

# install the programs that `just bench` measures against, into an environment of their own
bench-setup:
    {{bin}}/python -m venv --upgrade-deps .venv-rivals
    .venv-rivals/bin/python -m pip install --quiet --group bench

# measure how time and memory grow with the jobs of a flow; draws the picture of the manual, takes two minutes
bench-picture *ARGS:
    {{bin}}/python tests/benchmarks/cost_by_size.py {{ARGS}}

# the fast tests on every other Python of this machine
pythons:
    bash tests/other_pythons.sh

# the torture suite and the properties at their large size (an hour or two); prints seeds and counts
torture *ARGS:
    seed=${AETHERFLOW_SEED:-$(date +%s)}; echo "properties: seed $seed"; \
    AETHERFLOW_TORTURE=large {{bin}}/python -m pytest -q -m "torture or sized" \
        --hypothesis-show-statistics --hypothesis-seed="$seed" {{ARGS}}

# change code at random (a package, a file, --changed, or the core) and show which changes no test notices
mutants *ARGS:
    {{bin}}/python -m tests.mutations {{ARGS}}

# rewrite what README and manual show: outputs of commands, generated tables
manual *PAGES:
    {{bin}}/python -m tests.manual.refresh {{PAGES}}

# make the picture of the report demo that the README shows; needs LibreOffice and pdftoppm
picture:
    sh demo/usecase-report/run.sh > /dev/null
    folder=$(mktemp -d); report=$(ls -t demo/output/report/work/sales_report/report/*/artifacts/sales-report.xlsx | head -n 1); \
    soffice --headless --convert-to pdf --outdir "$folder" "$report" > /dev/null && \
    pdftoppm -png -singlefile -r 90 -f 1 -l 1 -x 50 -y 55 -W 920 -H 360 "$folder/sales-report.pdf" demo/usecase-report/report; \
    rm -r "$folder"

# take the pictures of a night load that the README shows, from real runs; needs tmux and Chromium
record:
    {{bin}}/python -m tests.pictures
