#!/usr/bin/env bash
# How fast are events taken in durably, against nginx that only answers them?
#
#   bench/ingest.sh [SECONDS]      measured seconds of each round, 20 unless told
#
# ROUNDS (3) rounds, in each of them nginx first and the relay second, under the same load on the
# same machine. The ratio is that of the medians. Needs cargo, nginx and curl; binds to 127.0.0.1
# only, writes to target/bench only, and leaves nothing behind. docs/performance.md says what is
# measured and what is not.
source "$(dirname "$0")/parts.sh"

seconds=${1:-20}
rounds=${ROUNDS:-3}
warmup=2
connections=64

[[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || fail "SECONDS is a whole number from 1 to 9999, not '$seconds'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || fail "ROUNDS is a whole number from 1 to 99, not '$rounds'"
command -v nginx >/dev/null || fail "nginx is missing: apt-get install nginx (it need not run)"

build load
# Room for one round: 20,000 events a second of at most 8 KiB each, with index and WAL.
begin $(((seconds + warmup) * 160 + 256))

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
    await "http://127.0.0.1:$port/" "$work/$1.log" "$child"
    press "$1" "$port" "$connections" "$warmup" "$seconds"
    end "$child" 300 || fail "nginx did not end within 30 s of SIGTERM"
    child=
}

run_relay() { # NAME
    local data=$work/data accepted answered
    rm -rf "$data"
    mkdir "$data"
    start_relay "$1" "$data" "$nowhere" LOG_LEVEL=warn
    await "http://127.0.0.1:$ops/readyz" "$work/$1.log" "$child"
    press "$1" "$port" "$connections" "$warmup" "$seconds"
    peak_rss >"$work/$1.rss"
    status "$data" >"$work/$1.status"
    accepted=$(field accepted "$work/$1.status")
    answered=$(field 200 "$work/$1.json")
    [[ $accepted == "$answered" ]] \
        || fail "$answered events were answered with 200, the journal holds ${accepted:-none}"
    echo "$1: the journal holds all $accepted events that were answered with 200"
    du -sm "$data" | awk '{ print $1 }' >"$work/$1.disk"
    stop_relay
    rm -rf "$data"
}

timeout 120 "$target/release/examples/load" --fsync-probe "$work" >"$work/fsync.json"
for ((round = 1; round <= rounds; round++)); do
    run_nginx "nginx-$round"
    run_relay "relay-$round"
done

nginx_rate=$(middle rate_per_s nginx)
relay_rate=$(middle rate_per_s relay)
rss=$(sort -n "$work"/relay-*.rss | tail -n 1)
disk=$(sort -n "$work"/relay-*.disk | tail -n 1)
cat <<REPORT

| | requests/s (median of $rounds) | each round | p50 ms | p99 ms |
|---|---|---|---|---|
| nginx, static 200 | ${nginx_rate%.*} | $(every nginx) | $(middle p50_ms nginx) | $(middle p99_ms nginx) |
| orbit-relay, durable 200 | ${relay_rate%.*} | $(every relay) | $(middle p50_ms relay) | $(middle p99_ms relay) |

ratio: $(ratio "$relay_rate" "$nginx_rate")
peak RSS of the relay: $rss MB (most of all rounds); data directory after a round: $disk MB (most)
64 KiB write and fdatasync: p50 $(field p50_ms "$work/fsync.json") ms, p99 $(field p99_ms "$work/fsync.json") ms, on $filesystem
load: $connections connections, $warmup s warm-up, $seconds s measured, on the same cores
$(machine), $(nginx -v 2>&1 | sed 's/.*: //')
REPORT
