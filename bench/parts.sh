# What the scripts of this folder share. Sourced, never run.
#
# It builds, makes a directory to work in (`work`), and ends and removes everything at exit,
# whatever happens. Processes that are started are kept in `child`, `loader` and `backend`.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

script=bench/$(basename "$0" .sh)
secret=$(printf '5a%.0s' {1..32})
child=
loader=
backend=

fail() {
    echo "$script.sh: $*" >&2
    exit 1
}

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, which a user's PATH may lack
command -v curl >/dev/null || fail "curl is missing: apt-get install curl"
command -v cargo >/dev/null || fail "cargo is missing: see https://rustup.rs"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
relay=$target/release/orbit-relay

# Builds the relay and these examples.
build() { # EXAMPLE…
    cargo build --release --locked --bin orbit-relay "${@/#/--example=}"
}

# Makes the directory to work in, on a disk with that much room.
begin() { # NEED_MB
    local free_mb
    mkdir -p "$target/bench"
    work=$(mktemp -d "$target/$script.XXXXXX")
    home=$work/home
    mkdir "$home"
    trap clean EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # A disk that forgets at power-off answers fsync for nothing.
    filesystem=$(df -PT "$work" | awk 'NR == 2 { print $2 }')
    case $filesystem in
    tmpfs | ramfs) fail "$work is on $filesystem, where fsync costs nothing: set CARGO_TARGET_DIR to a real disk" ;;
    esac
    free_mb=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
    ((free_mb >= $1)) || fail "$work has $free_mb MB left, $1 MB may be needed"
    echo "load average before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
}

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
    for pid in $loader $child $backend; do end "$pid" 50 || true; done
    rm -rf "$work"
}

# A port below the ephemeral range on which nobody listens.
free_port() {
    local port tries=50
    while ((tries-- > 0)); do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port found"
}

# What URL answers; fails unless that is 200.
get() { # URL
    curl -sf -m 5 --noproxy '*' "$1"
}

# Waits until URL answers 200, a minute at most, while the process lives.
await() { # URL LOG PID
    local tries=600
    while ((tries-- > 0)); do
        if ! kill -0 "$3" 2>/dev/null; then
            tail -n 20 "$2" >&2
            fail "it ended before it was ready"
        fi
        ! get "$1" >/dev/null || return 0
        sleep 0.1
    done
    tail -n 20 "$2" >&2
    fail "$1 was not 200 within a minute"
}

# Nobody listens on the discard port: a destination that is down.
nowhere=INTEGRATION_URL=http://127.0.0.1:9/

# Starts a relay as `child`, with `port` and `ops`. An empty directory and environment: no `.env`
# and no variable of the caller's is read.
start_relay() { # NAME DATA_DIR VARIABLE=VALUE…
    port=$(free_port)
    ops=$(free_port)
    while [[ $ops == "$port" ]]; do ops=$(free_port); done
    (
        cd "$home"
        exec env -i PATH="$PATH" WEBHOOK_SECRET="$secret" "${@:3}" \
            "$relay" run --bind 127.0.0.1 --webhook-host 127.0.0.1 --webhook-port "$port" \
            --ops-bind "127.0.0.1:$ops" --data-dir "$2"
    ) >"$work/$1.log" 2>&1 &
    child=$!
}

stop_relay() {
    end "$child" 300 || fail "the relay did not end within 30 s of SIGTERM"
    child=
}

# The sums of a journal, as one line of JSON.
status() { # DATA_DIR
    (cd "$home" && env -i PATH="$PATH" timeout 60 "$relay" status --data-dir "$1" --json) \
        || fail "orbit-relay status failed"
}

# The most memory that the relay has had, in MB of 2^20 bytes.
peak_rss() {
    awk '/^VmHWM:/ { printf "%.1f\n", $2 / 1024 }' "/proc/$child/status"
}

# Loads a relay or whoever listens on PORT, and keeps the report as NAME.json. In the background,
# so that Ctrl-C ends it at once; it ends ten seconds after its time, whatever the other side does.
press() { # NAME PORT CONNECTIONS WARMUP SECONDS
    "$target/release/examples/load" --url "http://127.0.0.1:$2/" --secret "$secret" --expect-200 \
        --connections "$3" --warmup "$4" --seconds "$5" >"$work/$1.json" &
    loader=$!
    if ! wait "$loader"; then
        cat "$work/$1.json" >&2
        tail -n 20 "$work/$1.log" >&2
        fail "not every request of $1 was answered with 200"
    fi
    loader=
    echo "$1: $(cat "$work/$1.json")"
}

# The first number under a name in a line of JSON.
field() { # NAME FILE
    tr -d '\n' <"$2" | grep -o "\"$1\": *[0-9.]*" | head -n 1 | sed 's/.*: *//'
}

# The median of the numbers on standard input.
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# The median over all rounds.
middle() { # FIELD KIND
    local round
    for ((round = 1; round <= rounds; round++)); do field "$1" "$work/$2-$round.json"; done | median
}

every() { # KIND
    local round
    for ((round = 1; round <= rounds; round++)); do field rate_per_s "$work/$1-$round.json"; done | sed 's/\..*//' | paste -sd ' '
}

ratio() { # OF TO
    awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", a / b }'
}

machine() {
    local processor
    processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
    echo "machine: ${processor:-unknown processor}, $(nproc) cores, Linux $(uname -r), $filesystem, $(rustc --version | cut -d ' ' -f 1-2)"
}
