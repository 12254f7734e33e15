#!/usr/bin/env bash
# How much memory do pictures take on their way through the relay?
#
#   bench/pictures.sh [PICTURES [BYTES]]     100 pictures of 10,000,000 bytes unless told
#
# Each picture is one event's; all events wait at once, and each body holds its picture in base64.
# Prints what is resident at rest and at the peak, and their ratio; fails when the peak reaches
# 128 MiB or a picture is missing. BINARY is a program that is built already. Needs cargo and curl;
# binds to 127.0.0.1 only, writes to target/bench only, and leaves nothing behind.
source "$(dirname "$0")/parts.sh"

pictures=${1:-100}
bytes=${2:-10000000}
[[ $pictures =~ ^[1-9][0-9]{0,3}$ ]] || fail "PICTURES is a whole number from 1 to 9999, not '$pictures'"
[[ $bytes =~ ^[1-9][0-9]{0,7}$ ]] || fail "BYTES is a whole number up to 99999999, not '$bytes'"
if [[ -n ${BINARY:-} ]]; then
    relay=$(realpath -e "$BINARY" 2>/dev/null) || fail "BINARY is no file: $BINARY"
fi

build pictures
begin 512
"$target/release/examples/pictures" "$relay" "$home" "$(free_port)" "$(free_port)" "$pictures" "$bytes" &
child=$!
wait "$child" || { tail -n 20 "$home/relay.log" >&2; fail "see above"; }
child=
