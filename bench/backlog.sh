#!/usr/bin/env bash
# What does a large backlog cost: a million events that no destination takes?
#
#   bench/backlog.sh [EVENTS [SECONDS]]     events that wait, 1000000 unless told; measured seconds
#                                           of each round, 10 unless told
#
# ROUNDS (3) rounds, in each of them a relay on an empty journal first and one on the backlog
# second, under the same load. The ratio is that of the medians. POSTPONED (a fiftieth) of the events
# were tried once. Needs cargo and curl; binds to 127.0.0.1 only, writes to target/bench only, and
# leaves nothing behind. docs/performance.md says what is measured and what is not.
source "$(dirname "$0")/parts.sh"

events=${1:-1000000}
seconds=${2:-10}
rounds=${ROUNDS:-3}
warmup=2
connections=64
looks=11

[[ $events =~ ^[1-9][0-9]{1,6}$ ]] || fail "EVENTS is a whole number from 10 to 9999999, not '$events'"
postponed=${POSTPONED:-$((events / 50))} # as many were tried once
[[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || fail "SECONDS is a whole number from 1 to 9999, not '$seconds'"
[[ $postponed =~ ^[0-9]{1,7}$ ]] || fail "POSTPONED is a whole number up to EVENTS, not '$postponed'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || fail "ROUNDS is a whole number from 1 to 99, not '$rounds'"

build fill load
load=$target/release/examples/load
# 4 KiB an event of the backlog; of the load 20,000 a second of at most 8 KiB, in the one journal
# for one round and in the other for all.
begin $((events / 256 + (rounds + 1) * (seconds + warmup) * 160 + 256))

# Starts a relay, and keeps the milliseconds until it had taken an event.
start() { # NAME DATA_DIR
    local from=$EPOCHREALTIME
    start_relay "$1" "$2" "$nowhere" LOG_LEVEL=warn JOURNAL_LIMIT=1000GiB
    "$load" --url "http://127.0.0.1:$port/" --secret "$secret" --first &
    loader=$!
    if ! wait "$loader"; then
        tail -n 20 "$work/$1.log" >&2
        fail "$1 took no event"
    fi
    passed "$from" >"$work/$1.start"
    loader=
}

passed() { # FROM
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", 1000 * (to - from) }'
}

# The median milliseconds of a whole `status --json`, from its start to its end.
look() { # DATA_DIR
    local look from
    for ((look = 1; look <= looks; look++)); do
        from=$EPOCHREALTIME
        status "$1" >/dev/null
        passed "$from"
    done | median
}

run() { # NAME DATA_DIR EVENTS_BEFORE
    local accepted expected
    start "$1" "$2"
    look "$2" >"$work/$1.look"
    press "$1" "$port" "$connections" "$warmup" "$seconds"
    peak_rss >"$work/$1.rss"
    status "$2" >"$work/$1.status"
    accepted=$(field accepted "$work/$1.status")
    expected=$(($3 + 1 + $(field 200 "$work/$1.json")))
    [[ $accepted == "$expected" ]] \
        || fail "$1: the journal holds ${accepted:-none} events, $expected were accepted"
    echo "$1: the journal holds all $accepted events"
}

"$target/release/examples/fill" --data-dir "$work/backlog" --events "$events" --captures 2 \
    --postponed "$postponed" >"$work/fill.json"
held=$events
for ((round = 1; round <= rounds; round++)); do
    rm -rf "$work/empty"
    run "empty-$round" "$work/empty" 0
    stop_relay
    run "backlog-$round" "$work/backlog" "$held"
    held=$(field accepted "$work/backlog-$round.status")
    ((round == rounds)) || stop_relay
done
# As a power cut leaves it: what was not copied out of the log has to be found there.
kill -KILL "$child"
wait "$child" 2>/dev/null || true
start killed "$work/backlog"
status "$work/backlog" >"$work/killed.status"
[[ $(field accepted "$work/killed.status") == $((held + 1)) ]] || fail "an event is gone after kill -9"
stop_relay

of() { # KIND SUFFIX
    cat "$work/$1"-*."$2" | median
}

most() { # KIND SUFFIX
    sort -n "$work/$1"-*."$2" | tail -n 1
}

empty_rate=$(middle rate_per_s empty)
backlog_rate=$(middle rate_per_s backlog)
cat <<REPORT

| | empty journal | $events events wait |
|---|---|---|
| start to the first event taken, ms (median of $rounds) | $(of empty start) | $(of backlog start) |
| the same after kill -9, ms | | $(cat "$work/killed.start") |
| \`status --json\`, ms (median of $looks, of $rounds rounds the median) | $(of empty look) | $(of backlog look) |
| requests/s (median of $rounds) | ${empty_rate%.*} | ${backlog_rate%.*} |
| each round | $(every empty) | $(every backlog) |
| p99 of an answer, ms | $(middle p99_ms empty) | $(middle p99_ms backlog) |
| peak RSS, MB (most of all rounds) | $(most empty rss) | $(most backlog rss) |

ratio: $(ratio "$backlog_rate" "$empty_rate")
backlog: $postponed of the $events were tried once and wait for a time; $(field body_bytes "$work/fill.json") bytes each on average
load: $connections connections, $warmup s warm-up, $seconds s measured, on the same cores
$(machine)
REPORT
