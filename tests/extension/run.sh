#!/usr/bin/env bash
# The extension with a real Docker engine: builds the package, the same image by `docker build`, and
# the package of a next version with another schema; then runs the tests beside this script.
# Needs root, docker, docker-compose, musl-tools, and Rust's target x86_64-unknown-linux-musl.
# Where no engine runs, one is started and ended with this script.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "tests/extension/run.sh: $*" >&2
    exit 1
}

root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
work=$(mktemp -d)
engine=''
images=(builder-of-orbit-relay orbit-relay:built-by-docker orbit-relay:local orbit-relay:demo orbit-relay:999.0.0)
# What a checkout has, also where it came without git.
sources() { # DIRECTORY
    rm -rf "$1"
    mkdir -p "$1"
    tar --create --exclude=./target --exclude=./.git --exclude=./dist --exclude=./data --exclude=./.env . |
        tar --extract --directory "$1"
}
finish() {
    docker rmi --force "${images[@]}" >/dev/null 2>&1 || true
    if [[ -n $engine ]]; then
        kill "$engine" 2>/dev/null || true
        wait "$engine" || true
    fi
    rm -rf "$work"
}
trap finish EXIT

[[ $(id -u) == 0 ]] || fail "run as root: it installs an extension as Site Hub does"
for tool in docker docker-compose dockerd; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install docker.io docker-compose iptables"
done
if ! docker info >/dev/null 2>&1; then
    dockerd >"$work/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && break
        kill -0 "$engine" 2>/dev/null || break
        sleep 1
    done
    docker info >/dev/null 2>&1 || fail "no Docker engine runs here: $(tail -n 20 "$work/dockerd.log")"
fi

# The version after this one: a table more in the journal, nothing else.
next=$root/target/next/source
sources "$next"
(
    cd "$next"
    version=$(sed -n 's/^pub(super) const VERSION: i64 = \([0-9]*\);$/\1/p' src/relay/journal/open.rs)
    migration=$(printf '%04d.sql' "$((version + 1))")
    echo 'CREATE TABLE of_the_next_version (id INTEGER PRIMARY KEY) STRICT;' >"migrations/$migration"
    sed -i -e "s/VERSION: i64 = $version;/VERSION: i64 = $((version + 1));/" \
        -e "s/^const MIGRATIONS: \[&str; $version\] = \[/const MIGRATIONS: [\&str; $((version + 1))] = [/" \
        -e "s|^    include_str!(\"../../../migrations/$(printf '%04d' "$version").sql\"),|&\n    include_str!(\"../../../migrations/$migration\"),|" \
        src/relay/journal/open.rs
    sed -i '/^name = "orbit-relay"$/,/^version/s/^version = .*/version = "999.0.0"/' Cargo.toml Cargo.lock
    sed -i 's/"version": ".*"/"version": "999.0.0"/' extension/manifest.json
    sed -i 's/image: "orbit-relay:.*"/image: "orbit-relay:999.0.0"/' extension/docker-compose.yml
    ./build_spx.sh --out "$root/target/next/dist"
)

./build_spx.sh
program=$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/ship/orbit-relay

# The same by `docker build`, and by Compose with the simulator. The official image of Rust cannot be
# had everywhere: its place takes one of this machine's own compiler and crates, without network.
tests/extension/builder.sh "$work/builder" builder-of-orbit-relay
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
docker build --network none --build-arg BUILDER=builder-of-orbit-relay --tag orbit-relay:built-by-docker .
container=$(docker create orbit-relay:built-by-docker)
docker cp "$container:/orbit-relay" "$work/built-by-docker"
docker rm "$container" >/dev/null
cmp "$work/built-by-docker" "$program" || fail "docker build and build_spx.sh made different programs"
echo "docker build and build_spx.sh made the same program"

compose=$work/compose
sources "$compose"
(
    cd "$compose"
    echo "WEBHOOK_SECRET=$(printf '%064d' 7 | tr 07 a1)" >.env
    docker-compose build --build-arg BUILDER=builder-of-orbit-relay relay demo
    trap 'docker-compose down --volumes' EXIT
    docker-compose up --detach relay
    for _ in $(seq 60); do
        docker-compose exec -T relay /orbit-relay health && break
        sleep 1
    done
    docker-compose exec -T relay /orbit-relay health
    docker-compose run --rm demo demo --events 3 --seed 1 | tee demo.log
    grep -q 'received 3 = accepted 3' demo.log
)
echo "docker compose up runs the relay, and the demo"

# And of the program that was built there, the same package.
./build_spx.sh --binary "$work/built-by-docker" --out "$work/again"
for package in dist/orbit-relay-[0-9]*.spx; do
    cmp "$package" "$work/again/$(basename "$package")" || fail "a second build gave other bytes"
done
echo "a second build gave the same package"

cargo test --locked --test extension -- --test-threads=1 --nocapture
