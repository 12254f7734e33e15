# Show what there is.
default:
    @just --list

# A simulated Orbit, a real relay and a simulated plant, until Ctrl-C.
demo *args:
    cargo run --release --locked -- demo {{ args }}

# All tests that need nothing but Rust and a C compiler.
test *args:
    cargo test --locked {{ args }}

# Formatting and lints, also without the simulator.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo clippy --test api --test browser --test disk --test extension --test mqtt --locked -- -D warnings
    cargo clippy --no-default-features --locked -- -D warnings

# Licences, banned crates and where crates come from (needs cargo-deny).
deny:
    cargo deny --locked check bans licenses sources

# The simulated Orbit against the official client from PyPI, signatures against the official library
# of Standard Webhooks, and every kind of source against its vendor's library (needs python3-venv and
# network).
oracle:
    cargo build --release --locked --bin orbit-relay --example oracle
    tests/oracle/run.sh target/release/orbit-relay target/release/examples/oracle

# Intake against nginx, in one run (needs nginx and curl).
bench seconds="20":
    bench/ingest.sh {{ seconds }}

# Deliveries against a bare loop, in one run (needs curl).
bench-deliver events="20000":
    bench/deliver.sh {{ events }}

# What a flood at one source costs another (needs curl).
bench-flood seconds="5":
    bench/flood.sh {{ seconds }}

# What a million waiting events cost (needs curl, 12 GB of disk and ten minutes).
bench-backlog events="1000000" seconds="10":
    bench/backlog.sh {{ events }} {{ seconds }}

# What the shipped binary takes of disk, time and memory at rest, against the official example's
# recipe (needs the musl target, musl-gcc, curl, python3-venv and network).
footprint starts="20":
    bench/footprint.sh {{ starts }}

# kill -9 at random moments under load, 50 rounds.
crash:
    CRASH_ROUNDS=50 cargo test --locked --test crash

# Every signature header under fuzz for some seconds (needs cargo-fuzz and a C++ compiler).
fuzz seconds="10":
    fuzz/run.sh {{ seconds }}

# A disk that fills up and is freed again: a real tmpfs, so as root.
disk:
    cargo test --locked --test disk

# A real MQTT broker (needs mosquitto, mosquitto-clients).
mqtt:
    cargo test --locked --test mqtt

# The JSON API against its own document, as root (needs python3-venv, iproute2 and network).
api:
    tests/api/run.sh

# The page in a real browser (needs chromium, chromium-driver, fonts, nodejs, npm).
browser *args:
    npm ci --prefix tests/browser --no-audit --no-fund
    cargo test --locked --test browser {{ args }} -- --test-threads=1

# The pictures of the documents, taken anew and made small: docs/images (needs
# pngquant, fonts-wqy-microhei).
screenshots:
    npm ci --prefix tests/browser --no-audit --no-fund
    SCREENSHOTS=1 cargo test --locked --test browser filled -- --test-threads=1
    pngquant --force --ext .png --strip docs/images/*.png

# The extension on a real Docker engine, as root (needs docker.io, docker-compose, musl-tools).
extension:
    tests/extension/run.sh

# All that must pass before a merge.
ci:
    .ci/run
