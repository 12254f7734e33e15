#!/usr/bin/env bash
# Runs every fuzz target for some seconds, 10 unless told: fuzz/run.sh [SECONDS]
#
# Each target reads one header of a signature and checks a request with it: it must not panic, must
# accept nothing that the secret did not sign, and must accept what it signed. The inputs to begin
# with are in fuzz/corpus/TARGET, which is only read; what is found besides is kept in
# target/fuzz/found/TARGET for the next run. A crash ends the run with 1 and leaves its input in
# target/fuzz/crashes/TARGET.
#
# Needs cargo-fuzz and a C++ compiler. The pinned toolchain will do: nothing is built with a
# sanitizer, since nothing here is unsafe.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "fuzz: usage: fuzz/run.sh [SECONDS]" >&2
    exit 2
}
cargo fuzz --version >/dev/null 2>&1 || {
    echo "fuzz: cargo-fuzz is missing: cargo install --locked --version 0.13.2 cargo-fuzz" >&2
    exit 1
}
command -v c++ >/dev/null || {
    echo "fuzz: a C++ compiler is missing: apt-get install g++" >&2
    exit 1
}

target=$PWD/target/fuzz
CARGO_TARGET_DIR=$target cargo fuzz build --sanitizer none --target-dir "$target"
host=$(rustc -vV | sed -n 's/^host: //p')
mapfile -t names < <(cargo fuzz list)

run() { # TARGET
    local found=$target/found/$1 crashes=$target/crashes/$1 log=$target/$1.log
    mkdir -p "$found" "$crashes"
    if ! "$target/$host/release/$1" "$found" "fuzz/corpus/$1" -max_total_time="$seconds" \
        -max_len=4096 -timeout=5 -rss_limit_mb=512 -artifact_prefix="$crashes/" \
        >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $1 failed; its input is the newest file in $crashes. To run it again:" >&2
        echo "  $target/$host/release/$1 FILE" >&2
        return 1
    fi
    echo "fuzz: $1: $(sed -n 's/^Done //p' "$log")"
}

failed=0
for name in "${names[@]}"; do
    [[ -d fuzz/corpus/$name ]] || {
        echo "fuzz: there is no fuzz/corpus/$name" >&2
        exit 1
    }
    run "$name" || failed=1
done
exit "$failed"
