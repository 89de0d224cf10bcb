#!/usr/bin/env bash
# The fast tests on every other Python that this machine has, each in a temporary environment.
#
# Looked for: python3.11 to python3.14, in PATH and among those of pyenv. Left out: what is slow (packages whose tests
# start the command for nearly every test, torture, properties), since it says little about the version of Python.
set -euo pipefail
cd "$(dirname "$0")/.."
slow=" benchmarks cli demo diagnostics manual torture "
tests=(tests/test_*.py tests/cli/test_commands.py tests/cli/test_signals.py)
for package in tests/*/; do
    package=$(basename "$package")
    [[ $package == __* || $slow == *" $package "* ]] || tests+=("tests/$package")
done
environments=$(mktemp -d)
trap 'rm -rf "$environments"' EXIT

# Print the path of an interpreter of this version that works; a shim of pyenv may stand for none.
interpreter() {
    local found
    for found in "$(command -v "python$1" || true)" ~/.pyenv/versions/"$1".*/bin/python"$1"; do
        if [ -x "$found" ] && "$found" -c 'import ensurepip, sqlite3, ssl' 2>/dev/null; then
            echo "$found"
            return
        fi
    done
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13 3.14; do
    [ "$version" != "$own" ] || continue
    python=$(interpreter "$version")
    if [ -z "$python" ]; then
        printf '\n== Python %s is not on this machine: not tested\n' "$version"
        continue
    fi
    printf '\n== Fast tests on %s (%s)\n' "$("$python" --version)" "$python"
    "$python" -m venv "$environments/$version"
    "$environments/$version/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    "$environments/$version/bin/python" -m pytest -q -n "${PYTEST_WORKERS:-$(($(nproc) * 2))}" --dist worksteal \
        -p no:cacheprovider -m "not torture and not sized" --ignore tests/test_readme.py "${tests[@]}"
done
