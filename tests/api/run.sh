#!/bin/sh
# Asks the API of a relay all that its own document allows, and much that it does not: with
# schemathesis, in a Python environment of its own, and in a network of its own, since it makes up
# hosts and addresses too, and a relay that may be configured by the API would ask them.
# Usage: run.sh [further options of the test]     as root
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT INT TERM

python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cd "$here/../.."
cargo test --locked --test api --no-run
API_PYTHON=$venv/bin/python unshare --net sh -c \
    'ip link set lo up && exec cargo test --locked --offline --test api -- --test-threads=1 "$@"' - "$@"
