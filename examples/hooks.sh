#!/usr/bin/env bash
# Other sources, a gate, and an answer as event, on this machine alone:
# an order of UP42 is told in a chat once it is through; an alert of Orbit waits outside working
# hours and makes a ticket within them; the ticket's number is told in the chat.
#
# Usage: examples/hooks.sh [PROGRAM]      PROGRAM: orbit-relay, with the simulator
# Needs python3 and curl. Ends by itself; exit 1 if something did not come as it should.
set -euo pipefail

program=$(command -v "${1:-orbit-relay}") || { echo "no program ${1:-orbit-relay}" >&2; exit 1; }
program=$(realpath "$program")
here=$(cd -- "$(dirname -- "$0")" && pwd)
dir=$(mktemp -d)
started=()
finish() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap finish EXIT

say() {
    printf '%s\n' "$*"
}
fail() {
    say "FAILED: $*"
    tail -n 30 "$dir"/*.log
    exit 1
}
# Waits until a command holds; half a minute at most.
until_it_holds() { # WHAT COMMAND…
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@"; do
        ((SECONDS < end)) || fail "$what"
        sleep 0.1
    done
}
ask() {
    curl --silent --show-error --noproxy '*' --max-time 20 "$@"
}
# A number or text of what the plant has seen.
seen() { # EXPRESSION
    ask "$plant/seen" | python3 -c "import json, sys; seen = json.load(sys.stdin); print($1)"
}
chat_has() { # TEXT
    seen '"\n".join(seen["messages"])' | grep -qF -- "$1"
}
asked_at_least() { # NUMBER
    (($(seen 'seen["asked"]') >= $1))
}
in_log() { # LOG PATTERN
    grep -qE -- "$2" "$dir/$1.log"
}
first_url() { # LOG
    grep -oE 'https?://127\.0\.0\.1:[0-9]+' "$dir/$1.log" | head -n 1
}

export UP42_SECRET='a secret that UP42 knows'
cd "$dir"

# --- The plant and Orbit -------------------------------------------------------------------------
python3 "$here/hooks.py" plant >plant.log 2>&1 &
started+=($!)
"$program" simulate orbit --listen 127.0.0.1:0 --every 0 --seed 1 >orbit.log 2>&1 &
started+=($!)
until_it_holds "the plant does not start" in_log plant 'http://'
until_it_holds "the simulated Orbit does not start" in_log orbit 'https://'
plant=$(first_url plant)
orbit=$(first_url orbit)
export CHAT_URL=$plant/chat GATE_URL=$plant/gate CMMS_URL=$plant/cmms

# --- The relay -----------------------------------------------------------------------------------
ORBIT_API_TOKEN=demo-token "$program" --config "$here/hooks.toml" --data-dir "$dir/data" \
    --hostname "${orbit#https://}" --verify false --webhook-host 127.0.0.1 --webhook-port 0 \
    --bind 127.0.0.1 --ops-bind 127.0.0.1:0 >relay.log 2>&1 &
started+=($!)
until_it_holds "the relay does not start" in_log relay 'events at http://'
relay=$(grep -oE 'events at http://[0-9.:]+' relay.log | head -n 1)
relay=${relay#events at }
until_it_holds "the relay does not register its webhook" in_log relay 'webhook: made in Orbit'
say "the relay takes events at $relay: of Orbit at /, of UP42 at /hooks/up42"

# --- An order of UP42 ----------------------------------------------------------------------------
answer=$(python3 "$here/hooks.py" order "$relay/hooks/up42" order-1 PLACED)
[[ $answer == ignored ]] || fail "an order that is only placed was $answer"
say "UP42: order-1 is PLACED → $answer"
answer=$(python3 "$here/hooks.py" order "$relay/hooks/up42" order-1 FULFILLED)
[[ $answer == accepted ]] || fail "an order that is fulfilled was $answer"
say "UP42: order-1 is FULFILLED → $answer"
until_it_holds "the order does not reach the chat" chat_has 'order order-1 is FULFILLED'
say "chat: $(seen 'seen["messages"][-1]')"
UP42_SECRET='another secret' python3 "$here/hooks.py" order "$relay/hooks/up42" order-2 FULFILLED \
    >forged.log 2>&1 && fail "a forged order was taken"
in_log forged '401' || fail "a forged order was not refused as one"
say "somebody else: order-2 is FULFILLED → 401"

# --- An alert of Orbit, outside working hours ----------------------------------------------------
ask -d closed "$plant/hours"
for _ in {1..100}; do
    inspection=$(ask --insecure -X POST "$orbit/sim/inspect")
    [[ $inspection == *ACTION_COMPLETED_WITH_ALERT* ]] && break
done
[[ $inspection == *ACTION_COMPLETED_WITH_ALERT* ]] || fail "no inspection was an alert"
say "Orbit: an alert. It is outside working hours"
until_it_holds "the gate is not asked, and asked again" asked_at_least 2
[[ $(seen 'seen["tickets"]') == 0 ]] || fail "the alert went past the gate"
"$program" deliveries list --config "$here/hooks.toml" --data-dir "$dir/data" >deliveries.log
in_log deliveries 'waits for the gate hours' || fail "no delivery says that it waits for the gate"
say "relay: $(grep -m 1 'waits for the gate hours' deliveries.log)"

# --- Within working hours ------------------------------------------------------------------------
ask -d open "$plant/hours"
say "the working hours begin"
until_it_holds "the ticket's number does not reach the chat" chat_has 'ticket 4711: '
say "chat: $(seen 'seen["messages"][-1]')"
[[ $(seen 'seen["tickets"]') == 1 ]] || fail "there is not one ticket"
[[ $(seen 'len(seen["messages"])') == 2 ]] || fail "there are not two messages"
say "all of it came, and nothing else"
