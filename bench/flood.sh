#!/usr/bin/env bash
# What does a flood of requests that do not verify, at one source, cost another source?
#
#   bench/flood.sh [SECONDS]      measured seconds of each half of a round, 5 unless told
#
# ROUNDS (3) rounds; in each of them one source sends RATE (200) genuine events a second, first in
# quiet, then while FLOOD (5000) requests a second that do not verify come to another source of the
# same relay. Prints the other source's p50 and p99, the ratio of flooded to quiet (medians), the
# rows that the flood wrote and the lines that it brought to the log a second; fails when there is a
# row or more than a line a second, or when an event that was answered with 200 is missing. BINARY is a program that is built
# already. Needs cargo and curl; binds to 127.0.0.1 only, writes to target/bench only, and leaves
# nothing behind.
source "$(dirname "$0")/parts.sh"

seconds=${1:-5}
rounds=${ROUNDS:-3}
rate=${RATE:-200}
flood=${FLOOD:-5000}
warmup=1

[[ $seconds =~ ^[1-9][0-9]{0,2}$ ]] || fail "SECONDS is a whole number from 1 to 999, not '$seconds'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || fail "ROUNDS is a whole number from 1 to 99, not '$rounds'"
[[ $rate =~ ^[1-9][0-9]{0,4}$ ]] || fail "RATE is a whole number from 1 to 99999, not '$rate'"
[[ $flood =~ ^[1-9][0-9]{0,4}$ ]] || fail "FLOOD is a whole number from 1 to 99999, not '$flood'"
if [[ -n ${BINARY:-} ]]; then
    relay=$(realpath -e "$BINARY" 2>/dev/null) || fail "BINARY is no file: $BINARY"
fi

build flood
begin $(((seconds + warmup) * rate * rounds * 2 / 250 + 256))

mkdir "$work/config"
cat >"$work/config/relay.toml" <<CONF
[[source]]
name = "shop"
scheme = "github"
secret = "$secret"

[[source]]
name = "flooded"
scheme = "github"
secret = "another-$secret"

[[destination]]
name = "nowhere"
url = "http://127.0.0.1:9/"
sources = ["shop"]
CONF

# Posts, and keeps the report as NAME.json.
post() { # NAME ARGUMENT…
    "$target/release/examples/flood" --url "http://127.0.0.1:$port/hooks/shop" --secret "$secret" \
        --rate "$rate" --warmup "$warmup" --seconds "$seconds" "${@:2}" >"$work/$1.json" &
    loader=$!
    wait "$loader" || fail "the load of $1 failed"
    loader=
    sed "s/^/$1: /" "$work/$1.json"
}

# The number of all answers with 200 so far.
taken() {
    cat "$work"/*.json | grep -o '"200": *[0-9]*' | awk -F : '{ sum += $2 } END { print sum + 0 }'
}

data=$work/data
mkdir "$data"
start_relay relay "$data" LOG_LEVEL=info CONFIG_DIR="$work/config"
await "http://127.0.0.1:$ops/readyz" "$work/relay.log" "$child"
lines=0
post first
for ((round = 1; round <= rounds; round++)); do
    post "quiet-$round"
    before=$(wc -l <"$work/relay.log")
    post "flood-$round" --flood "$flood" --flood-url "http://127.0.0.1:$port/hooks/flooded"
    lines=$((lines + $(wc -l <"$work/relay.log") - before))
    # The first line is the genuine side, the second the flood.
    tail -n 1 "$work/flood-$round.json" >"$work/strangers-$round"
done
status "$data" >"$work/status"
accepted=$(field accepted "$work/status")
rows=$((accepted - $(taken)))
((rows == 0)) || fail "$(taken) events were answered with 200, the journal holds ${accepted:-none}"
((lines <= (seconds + warmup + 1) * rounds)) || fail "the flood brought $lines lines to the log"
memory=$(peak_rss)
stop_relay

strangers=$(for ((round = 1; round <= rounds; round++)); do field rate_per_s "$work/strangers-$round"; done | median)
cat <<REPORT

| the other source | p50 ms (median of $rounds) | p99 ms | p99 of each round |
|---|---|---|---|
| quiet | $(middle p50_ms quiet) | $(middle p99_ms quiet) | $(for ((r = 1; r <= rounds; r++)); do field p99_ms "$work/quiet-$r.json"; done | paste -sd ' ') |
| while another is flooded | $(middle p50_ms flood) | $(middle p99_ms flood) | $(for ((r = 1; r <= rounds; r++)); do field p99_ms "$work/flood-$r.json"; done | paste -sd ' ') |

ratio of p50: $(ratio "$(middle p50_ms flood)" "$(middle p50_ms quiet)"); of p99: $(ratio "$(middle p99_ms flood)" "$(middle p99_ms quiet)")
flood: ${strangers%.*} requests a second were answered; rows that it wrote: $rows; lines in the log a second: $(ratio "$lines" $(((seconds + warmup) * rounds)))
peak RSS of the relay: $memory MB
load: $rate genuine requests a second, $warmup s warm-up, $seconds s measured, on the same cores
$(machine)
REPORT
