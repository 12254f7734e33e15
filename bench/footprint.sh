#!/usr/bin/env bash
# How much room does the shipped binary take: on disk, until it listens, and in memory at rest?
#
#   bench/footprint.sh [STARTS]        starts that are timed, 20 unless told
#
# Beside it, in the same run, what the official example of a receiver asks for: its Python packages
# in the versions that it pins, and the least receiver that imports what it imports. Interpreter and
# base image come on top of that; they are not fetched here.
# IDLE (10) seconds pass before memory is read. BINARY is a program that is built already.
# Needs cargo with the musl target, musl-gcc, curl, python3 with venv, and network for PyPI; not root.
# Binds to 127.0.0.1 only, writes to target/ only, and leaves nothing behind but what it built.
# docs/performance.md says what is measured and what is not.
source "$(dirname "$0")/parts.sh"

starts=${1:-20}
idle=${IDLE:-10}
musl=x86_64-unknown-linux-musl
here=$PWD/bench/footprint

[[ $starts =~ ^[1-9][0-9]{0,2}$ ]] || fail "STARTS is a whole number from 1 to 999, not '$starts'"
[[ $idle =~ ^[1-9][0-9]{0,2}$ ]] || fail "IDLE is a whole number from 1 to 999, not '$idle'"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "python3 with venv is missing: apt-get install python3-venv"

if [[ -n ${BINARY:-} ]]; then
    relay=$(realpath -e "$BINARY" 2>/dev/null) || fail "BINARY is no file: $BINARY"
else
    command -v musl-gcc >/dev/null || fail "musl-gcc is missing: apt-get install musl-tools"
    [[ -d $(rustc --print target-libdir --target $musl) ]] \
        || fail "the musl target is missing: rustup target add $musl"
    cargo build --profile ship --locked --no-default-features --target $musl --bin orbit-relay
    relay=$target/$musl/ship/orbit-relay
fi
begin 512

python3 -m venv "$work/venv"
python=$work/packages
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --target "$python" \
    --requirement "$here/requirements.txt"

# Runs a program in an empty directory and environment, and keeps what `watch.py` says of it.
watch() { # NAME SECONDS PORT COMMAND…
    local name=$1 seconds=$2 on=$3
    shift 3
    (
        cd "$home"
        # No Orbit answers there, as at a start before the network is up.
        exec env -i PATH="$PATH" WEBHOOK_SECRET="$secret" PYTHONPATH="$python" "$nowhere" \
            ORBIT_HOSTNAME=127.0.0.1:9 ORBIT_API_TOKEN=none \
            "$work/venv/bin/python" "$here/watch.py" "$on" "$seconds" "$@"
    ) >"$work/$name.json" 2>"$work/$name.log" &
    child=$!
    if ! wait "$child"; then
        child=
        tail -n 20 "$work/$name.log" >&2
        fail "$name could not be measured"
    fi
    child=
}

relay() { # NAME SECONDS
    local port ops
    port=$(free_port)
    ops=$(free_port)
    while [[ $ops == "$port" ]]; do ops=$(free_port); done
    rm -rf "$work/data"
    mkdir "$work/data"
    watch "$1" "$2" "$port" "$relay" run --bind 127.0.0.1 --webhook-host 127.0.0.1 \
        --webhook-port "$port" --ops-bind "127.0.0.1:$ops" --data-dir "$work/data"
}

example() { # NAME SECONDS
    local port
    port=$(free_port)
    watch "$1" "$2" "$port" "$work/venv/bin/python" "$here/receiver.py" "$port"
}

# Once each before it counts: what is on disk is in the system's cache then.
relay relay-warm-up 0
example example-warm-up 0
for ((round = 1; round <= starts; round++)); do
    relay "relay-$round" 0
    example "example-$round" 0
done
relay relay-idle "$idle"
example example-idle "$idle"

megabytes() { # BYTES
    awk -v bytes="$1" 'BEGIN { printf "%.1f\n", bytes / 1048576 }'
}

started() { # KIND
    rounds=$starts middle listening_ms "$1"
}

memory() { # FIELD KIND
    megabytes "$((1024 * $(field "$1" "$work/$2-idle.json")))"
}

row() { # WHAT RELAY EXAMPLE
    echo "| $1 | $2 | $3 | $(ratio "$2" "$3") |"
}

cat <<REPORT

| | orbit-relay | the example's recipe | ratio |
|---|---|---|---|
$(row "on disk, MB: binary; Python packages" "$(megabytes "$(stat -c %s "$relay")")" "$(megabytes "$(du -sb "$python" | cut -f 1)")")
$(row "start to listening, ms (median of $starts)" "$(started relay)" "$(started example)")
$(row "RSS after $idle s at rest, MB" "$(memory rss_kb relay)" "$(memory rss_kb example)")
$(row "PSS, MB" "$(memory pss_kb relay)" "$(memory pss_kb example)")

orbit-relay: $("$relay" --version), $(field threads "$work/relay-idle.json") threads; an empty data directory at each start, an Orbit that does not answer, one destination
the example's recipe: $(wc -l <"$here/requirements.txt" | awk '{ print $1 - 1 }') packages as pip installs them, and a receiver that only checks signatures; $("$work/venv/bin/python" --version) and a base image come on top
MB of 2^20 bytes; load average after: $(cut -d ' ' -f 1-3 /proc/loadavg)
$(machine)
REPORT
