#!/bin/sh
# Checks the simulated Orbit with Orbit's official client, the posts of a destination with the
# official library of Standard Webhooks, and what the relay takes of every kind of source with the
# vendors' own libraries, in a Python environment of its own.
# Usage: run.sh PROGRAM POSTER [further options of oracle.py]
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
usage="usage: run.sh PROGRAM POSTER"
program=${1:?$usage}
poster=${2:?$usage}
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT INT TERM

python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
shift 2
"$venv/bin/python" "$here/webhooks.py" "$poster"
"$venv/bin/python" "$here/sources.py" "$program"
"$venv/bin/python" "$here/oracle.py" "$program" "$@"
