#!/bin/sh
# Checks the simulated Orbit with the official client, in a Python environment of its own.
# Usage: run.sh PROGRAM [further options of oracle.py]
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${1:?usage: run.sh PROGRAM}
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT INT TERM

python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
shift
"$venv/bin/python" "$here/oracle.py" "$program" "$@"
