#!/usr/bin/env bash
# How fast does a backlog go out, against a bare loop that only posts it?
#
#   bench/deliver.sh [EVENTS]      events that wait, 20000 unless told
#
# ROUNDS (3) rounds, in each of them the bare loop first and the relay second, with 4 posts in flight
# and then with 32: the same bodies, the same HTTP client, the same backend, which answers at once in
# a process of its own. Ratios are those of the medians. Every event must arrive exactly once, or it
# fails.
# Needs cargo and curl; binds to 127.0.0.1 only, writes to target/bench only, and leaves nothing
# behind. docs/performance.md says what is measured and what is not.
source "$(dirname "$0")/parts.sh"

events=${1:-20000}
rounds=${ROUNDS:-3}
in_flight=(4 32) # the first is what the relay has where no file says otherwise

[[ $events =~ ^[1-9][0-9]{1,6}$ ]] || fail "EVENTS is a whole number from 10 to 9999999, not '$events'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || fail "ROUNDS is a whole number from 1 to 99, not '$rounds'"

build fill load post
ratios=
post=$target/release/examples/post
# Two journals of 4 KiB an event, with index and WAL.
begin $((events / 100 + 256))

run_loop() { # NAME IN_FLIGHT
    timeout 300 "$post" loop --data-dir "$work/filled" --url "http://127.0.0.1:$backend_port/$1" \
        --in-flight "$2" >"$work/$1.times" &
    loader=$!
    wait "$loader" || fail "not every post of the loop was answered with 200"
    loader=
    get "http://127.0.0.1:$backend_port/$1" >"$work/$1.json"
    echo "$1: $(cat "$work/$1.json")"
}

# Waits until COMMAND prints EVENTS, TENTHS of a second at most.
until_all() { # WHAT TENTHS COMMAND…
    local what=$1 tries=$2 found=
    shift 2
    while ((tries-- > 0)); do
        found=$("$@")
        [[ $found != "$events" ]] || return 0
        kill -0 "$child" 2>/dev/null || fail "the relay ended"
        sleep 0.1
    done
    fail "$what: ${found:-none} of $events"
}

arrived() { # NAME
    get "http://127.0.0.1:$backend_port/$1" >"$work/$1.json"
    field keys "$work/$1.json"
}

delivered() { # NAME
    status "$work/data" >"$work/$1.status"
    field delivered "$work/$1.status"
}

# The p99 that a histogram gives: linear within the bucket, as Prometheus does it.
p99_of_tries() {
    get "http://127.0.0.1:$ops/metrics" | awk -F '[" ]' '
        /^orbit_relay_delivery_attempt_seconds_bucket/ { le[++n] = $(NF - 2); count[n] = $NF }
        END {
            rank = 0.99 * count[n]
            for (i = 1; i < n && count[i] < rank; i++);
            if (i == n) { print "over " 1000 * le[n - 1]; exit }
            from = i > 1 ? le[i - 1] : 0
            before = i > 1 ? count[i - 1] : 0
            printf "%.2f\n", 1000 * (from + (le[i] - from) * (rank - before) / (count[i] - before))
        }'
}

run_relay() { # NAME IN_FLIGHT
    rm -rf "$work/data"
    cp -r "$work/filled" "$work/data"
    cat >"$work/$1.toml" <<CONF
[[destination]]
name = "integration"
url = "http://127.0.0.1:$backend_port/$1"
max_in_flight = $2
CONF
    # The log is as it is for everyone, one line for each delivery, and goes into a file.
    start_relay "$1" "$work/data" RELAY_CONFIG="$work/$1.toml"
    until_all "$1: arrived" 3000 arrived "$1"
    until_all "$1: delivered as the sums say" 300 delivered "$1"
    peak_rss >"$work/$1.rss"
    p99_of_tries >"$work/$1.p99"
    stop_relay
    arrived "$1" >/dev/null
    [[ $(field posts "$work/$1.json") == "$events" ]] \
        || fail "$1: $events events came in $(field posts "$work/$1.json") posts"
    echo "$1: $(cat "$work/$1.json"), each once, and the sums say delivered $events"
}

timeout 120 "$target/release/examples/load" --fsync-probe "$work" >"$work/fsync.json"
"$target/release/examples/fill" --data-dir "$work/filled" --events "$events" >"$work/fill.json"
backend_port=$(free_port)
"$post" backend --port "$backend_port" >"$work/backend.log" 2>&1 &
backend=$!
await "http://127.0.0.1:$backend_port/" "$work/backend.log" "$backend"
for ((round = 1; round <= rounds; round++)); do
    for n in "${in_flight[@]}"; do
        run_loop "loop-$n-$round" "$n"
        run_relay "relay-$n-$round" "$n"
    done
done

cat <<REPORT

| | in flight | deliveries/s (median of $rounds) | each round | p99 of one try, ms | peak RSS, MB |
|---|---|---|---|---|---|
REPORT
for n in "${in_flight[@]}"; do
    loop_rate=$(middle rate_per_s "loop-$n")
    relay_rate=$(middle rate_per_s "relay-$n")
    loop_p99=$(for times in "$work/loop-$n"-*.times; do field p99_ms "$times"; done | median)
    relay_p99=$(cat "$work/relay-$n"-*.p99 | median)
    rss=$(sort -n "$work/relay-$n"-*.rss | tail -n 1)
    echo "| bare loop, no journal | $n | ${loop_rate%.*} | $(every "loop-$n") | $loop_p99 | |"
    echo "| orbit-relay | $n | ${relay_rate%.*} | $(every "relay-$n") | $relay_p99 | $rss |"
    ratios+="ratio: $(ratio "$relay_rate" "$loop_rate") with $n in flight"$'\n'
done
cat <<REPORT

${ratios}p99 of the relay's tries: from its histogram; of the loop's: exact. Peak RSS: most of all rounds
$events events of $(field body_bytes "$work/relay-4-1.json") bytes on average as posted, a backend that answers at once on the same cores
64 KiB write and fdatasync: p50 $(field p50_ms "$work/fsync.json") ms, p99 $(field p99_ms "$work/fsync.json") ms
$(machine)
REPORT
