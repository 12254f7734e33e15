#!/usr/bin/env bash
# How long does each screen of the page let wait for its first byte, with a million deliveries?
#
#   bench/screens.sh [DELIVERIES [TIMES]]   deliveries in the journal, 1000000 unless told; how often
#                                           each screen is asked for, 30 unless told
#
# A journal of 90 days for two destinations, which the relay then catalogues as it does after an
# update. Screens are asked for in turn; /healthz beside them says what an answer of this server
# costs on this machine. DATA is a directory in which the journal stays and is found again.
# Needs cargo and curl; binds to 127.0.0.1 only, and leaves nothing behind but DATA.
# docs/performance.md says what is measured and what is not.
source "$(dirname "$0")/parts.sh"

deliveries=${1:-1000000}
times=${2:-30}

[[ $deliveries =~ ^[1-9][0-9]{3,7}$ ]] || fail "DELIVERIES is a whole number from 1000 to 99999999, not '$deliveries'"
[[ $times =~ ^[1-9][0-9]{0,3}$ ]] || fail "TIMES is a whole number from 1 to 9999, not '$times'"

build screens
screens=$target/release/examples/screens
# 5 KiB an event with its deliveries, catalogue and indexes, and as much again for the log.
begin $((deliveries / 200 + 256))
data=${DATA:-$work/data}

cat >"$work/relay.toml" <<'TOML'
[[destination]]
name = "cmms"
url = "http://127.0.0.1:9/"

[[destination]]
name = "chat"
url = "http://127.0.0.1:9/"
TOML

start() { # NAME
    start_relay "$1" "$data" RELAY_CONFIG="$work/relay.toml" KEEP_DELIVERED=400d \
        JOURNAL_LIMIT="$((deliveries / 100000 + 2))GiB" WEBHOOK_HOST=none LOG_LEVEL=warn
    await "http://127.0.0.1:$ops/healthz" "$work/$1.log" "$child"
}

# Resident memory now, in MB of 2^20 bytes; the most that it was, peak_rss says.
rss() {
    awk '/^VmRSS:/ { printf "%.1f\n", $2 / 1024 }' "/proc/$child/status"
}

filled=0
if [[ ! -e $data/journal.db ]]; then
    SECONDS=0
    "$screens" fill --data-dir "$data" --events $((deliveries / 2))
    filled=$SECONDS
fi
start catalogue
"$screens" wait --data-dir "$data" >"$work/wait.json"
catalogue_rss=$(peak_rss)
stop_relay

rm -f "$data/page/accounts.json"
start screens
sleep 2
at_rest=$(rss)
"$screens" ask --data-dir "$data" --port "$ops" --times "$times" >"$work/table"
after=$(rss)
most=$(peak_rss)
# What a person sees who asks as soon as it runs, with nothing in its caches.
stop_relay

events=$(field events "$work/wait.json")
seconds=$(field seconds "$work/wait.json")
cat <<REPORT

$(cat "$work/table")

deliveries: $deliveries of $((deliveries / 2)) events at two destinations; each screen asked for $times times, in turn
filled in: $filled s
catalogue: $events events in $seconds s, $(awk -v n="$events" -v s="$seconds" 'BEGIN { printf "%.1f", n ? 100000 * s / n : 0 }') s for 100,000; peak RSS $catalogue_rss MB
RSS, MB: at rest $at_rest, after all screens $after, peak $most
data directory: $(du -sm "$data" | cut -f 1) MB
$(machine)
REPORT
