#!/usr/bin/env bash
# How fast are events taken in durably, against nginx that only answers them?
#
#   bench/ingest.sh [SECONDS]      measured seconds of each round, 20 unless told
#
# ROUNDS (3) rounds, in each of them nginx first and the relay second, under the same load on the
# same machine. The ratio is that of the medians. Needs cargo, nginx and curl; binds to 127.0.0.1
# only, writes to target/bench only, and leaves nothing behind. docs/performance.md says what is
# measured and what is not.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

seconds=${1:-20}
rounds=${ROUNDS:-3}
warmup=2
connections=64
secret=$(printf '5a%.0s' {1..32})

fail() {
    echo "bench/ingest.sh: $*" >&2
    exit 1
}

[[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || fail "SECONDS is a whole number from 1 to 9999, not '$seconds'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || fail "ROUNDS is a whole number from 1 to 99, not '$rounds'"
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, which a user's PATH may lack
command -v nginx >/dev/null || fail "nginx is missing: apt-get install nginx (it need not run)"
command -v curl >/dev/null || fail "curl is missing: apt-get install curl"
command -v cargo >/dev/null || fail "cargo is missing: see https://rustup.rs"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
relay=$target/release/orbit-relay
load=$target/release/examples/load
cargo build --release --locked --bin orbit-relay
cargo build --release --locked --example load

mkdir -p "$target/bench"
work=$(mktemp -d "$target/bench/ingest.XXXXXX")
child=
loader=

# Ends a process: SIGTERM, and SIGKILL when that has not ended it within TENTHS of a second.
end() { # PID TENTHS
    local tries=$2 hard=0
    kill -TERM "$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null && ((tries-- > 0)); do sleep 0.1; done
    ! kill -KILL "$1" 2>/dev/null || hard=1
    wait "$1" 2>/dev/null || true
    return "$hard"
}

clean() {
    local pid
    for pid in $loader $child; do end "$pid" 50 || true; done
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A disk that forgets at power-off answers fsync for nothing.
filesystem=$(df -PT "$work" | awk 'NR == 2 { print $2 }')
case $filesystem in
tmpfs | ramfs) fail "$work is on $filesystem, where fsync costs nothing: set CARGO_TARGET_DIR to a real disk" ;;
esac
# Room for one round: 20,000 events a second of at most 8 KiB each, with index and WAL.
need_mb=$(((seconds + warmup) * 160 + 256))
free_mb=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
((free_mb >= need_mb)) || fail "$work has $free_mb MB left, a round may need $need_mb MB"

# A port below the ephemeral range on which nobody listens.
free_port() {
    local port tries=50
    while ((tries-- > 0)); do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port found"
}

# Waits until URL answers 200, a minute at most, while the child lives.
await() { # URL LOG
    local tries=600
    while ((tries-- > 0)); do
        if ! kill -0 "$child" 2>/dev/null; then
            tail -n 20 "$2" >&2
            fail "it ended before it was ready"
        fi
        [[ $(curl -s -o /dev/null -m 2 -w '%{http_code}' --noproxy '*' "$1" || true) != 200 ]] || return 0
        sleep 0.1
    done
    tail -n 20 "$2" >&2
    fail "$1 was not 200 within a minute"
}

# The first number under a name in a line of JSON.
field() { # NAME FILE
    tr -d '\n' <"$2" | grep -o "\"$1\": *[0-9.]*" | head -n 1 | sed 's/.*: *//'
}

# Loads PORT and keeps the report as NAME.json. In the background, so that Ctrl-C ends it at once;
# the load itself ends ten seconds after its time, whatever the other side does.
press() { # NAME PORT
    "$load" --url "http://127.0.0.1:$2/" --secret "$secret" --expect-200 \
        --connections "$connections" --warmup "$warmup" --seconds "$seconds" >"$work/$1.json" &
    loader=$!
    if ! wait "$loader"; then
        cat "$work/$1.json" >&2
        tail -n 20 "$work/$1.log" >&2
        fail "not every request of $1 was answered with 200"
    fi
    loader=
    echo "$1: $(cat "$work/$1.json")"
}

run_nginx() { # NAME
    local port
    port=$(free_port)
    mkdir -p "$work/nginx"
    # What a stranger gets, without the access log and with connections kept for the whole run.
    # `return` reads a request's body and drops it.
    cat >"$work/nginx/nginx.conf" <<CONF
daemon off;
worker_processes auto;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:$port;
        default_type application/json;
        location / { return 200 '{"status":"accepted"}'; }
    }
}
CONF
    nginx -p "$work/nginx" -e stderr -c nginx.conf >"$work/$1.log" 2>&1 &
    child=$!
    await "http://127.0.0.1:$port/" "$work/$1.log"
    press "$1" "$port"
    end "$child" 300 || fail "nginx did not end within 30 s of SIGTERM"
    child=
}

run_relay() { # NAME
    local port ops data=$work/data home=$work/home
    port=$(free_port)
    ops=$(free_port)
    while [[ $ops == "$port" ]]; do ops=$(free_port); done
    rm -rf "$data"
    mkdir -p "$data" "$home"
    # An empty directory and environment: no `.env` and no variable of the caller's is read.
    # Nobody listens on the discard port, so the destination is down.
    (
        cd "$home"
        exec env -i PATH="$PATH" LOG_LEVEL=warn WEBHOOK_SECRET="$secret" \
            INTEGRATION_URL=http://127.0.0.1:9/ \
            "$relay" run --bind 127.0.0.1 --webhook-host 127.0.0.1 --webhook-port "$port" \
            --ops-bind "127.0.0.1:$ops" --data-dir "$data"
    ) >"$work/$1.log" 2>&1 &
    child=$!
    await "http://127.0.0.1:$ops/readyz" "$work/$1.log"
    press "$1" "$port"
    awk '/^VmHWM:/ { printf "%.1f\n", $2 / 1024 }' "/proc/$child/status" >"$work/$1.rss"
    (cd "$home" && env -i PATH="$PATH" timeout 60 "$relay" status --data-dir "$data" --json) >"$work/$1.status" \
        || fail "orbit-relay status failed"
    local accepted answered
    accepted=$(field accepted "$work/$1.status")
    answered=$(field 200 "$work/$1.json")
    [[ $accepted == "$answered" ]] \
        || fail "$answered events were answered with 200, the journal holds ${accepted:-none}"
    echo "$1: the journal holds all $accepted events that were answered with 200"
    du -sm "$data" | awk '{ print $1 }' >"$work/$1.disk"
    end "$child" 300 || fail "the relay did not end within 30 s of SIGTERM"
    child=
    rm -rf "$data"
}

# The median of the numbers on standard input.
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

middle() { # FIELD KIND
    local round
    for ((round = 1; round <= rounds; round++)); do field "$1" "$work/$2-$round.json"; done | median
}

every() { # KIND
    local round
    for ((round = 1; round <= rounds; round++)); do field rate_per_s "$work/$1-$round.json"; done | sed 's/\..*//' | paste -sd ' '
}

echo "load average before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
timeout 120 "$load" --fsync-probe "$work" >"$work/fsync.json"
for ((round = 1; round <= rounds; round++)); do
    run_nginx "nginx-$round"
    run_relay "relay-$round"
done

nginx_rate=$(middle rate_per_s nginx)
relay_rate=$(middle rate_per_s relay)
rss=$(sort -n "$work"/relay-*.rss | tail -n 1)
disk=$(sort -n "$work"/relay-*.disk | tail -n 1)
processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
cat <<REPORT

| | requests/s (median of $rounds) | each round | p50 ms | p99 ms |
|---|---|---|---|---|
| nginx, static 200 | ${nginx_rate%.*} | $(every nginx) | $(middle p50_ms nginx) | $(middle p99_ms nginx) |
| orbit-relay, durable 200 | ${relay_rate%.*} | $(every relay) | $(middle p50_ms relay) | $(middle p99_ms relay) |

ratio: $(awk -v a="$relay_rate" -v b="$nginx_rate" 'BEGIN { printf "%.3f", a / b }')
peak RSS of the relay: $rss MB (most of all rounds); data directory after a round: $disk MB (most)
64 KiB write and fdatasync: p50 $(field p50_ms "$work/fsync.json") ms, p99 $(field p99_ms "$work/fsync.json") ms, on $filesystem
load: $connections connections, $warmup s warm-up, $seconds s measured, on the same cores
machine: ${processor:-unknown processor}, $(nproc) cores, Linux $(uname -r), $(nginx -v 2>&1 | sed 's/.*: //'), $(rustc --version | cut -d ' ' -f 1-2)
REPORT
