#!/usr/bin/env bash
# Builds the extension for Orbit: dist/orbit-relay-VERSION.spx. The same inputs give the same bytes.
#
#   ./build_spx.sh                          the stock extension
#   ./build_spx.sh --env extension/.env     the same, with the plant's settings in it
#   ./build_spx.sh --config-only DIRECTORY  a second, small extension with the plant's settings
#                                           alone: .env, relay.toml, assets.csv, certificates.
#                                           Needs neither Rust nor Docker
#   --version X.Y.Z   version of the configuration extension (default 1.0.0)
#   --binary FILE     packs this static binary instead of building one
#   --out DIRECTORY   where the package is put (default dist)
set -euo pipefail
shopt -s nullglob

fail() {
    echo "build_spx.sh: $*" >&2
    exit 1
}

source=$(cd "$(dirname "$0")" && pwd)
target=x86_64-unknown-linux-musl
user=65532
env_file='' config_dir='' config_version='' binary='' out=dist
while (($# > 0)); do
    case $1 in
        -h | --help)
            sed -n '2,/^set/{/^set/d; s/^# \{0,1\}//; p}' "$0"
            exit 0
            ;;
        --env | --config-only | --version | --binary | --out)
            (($# > 1)) && [[ -n $2 ]] || fail "$1 needs a value"
            case $1 in
                --env) env_file=$2 ;;
                --config-only) config_dir=$2 ;;
                --version) config_version=$2 ;;
                --binary) binary=$2 ;;
                --out) out=$2 ;;
            esac
            shift 2
            ;;
        *) fail "no such option: $1 (--help lists them)" ;;
    esac
done

for tool in tar gzip sha256sum sed grep od; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it with your system's package manager"
done
tar --version | grep -q 'GNU tar' ||
    fail "GNU tar is needed for a package with the same bytes each time; on macOS: brew install gnu-tar, and put its gnubin first in PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A member of a JSON object in a file that is written with one member a line.
member() { # FILE NAME
    local value
    value=$(sed -n "s/^  \"$2\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$1")
    [[ -n $value ]] || fail "$1 has no \"$2\""
    printf '%s' "$value"
}

# Adds files to a tar: neither the time of building nor the builder's name is in it.
add() { # TAR OWNER MODE DIRECTORY NAME…
    local tar=$1 owner=$2 mode=$3 dir=$4
    shift 4
    LC_ALL=C tar --append --file "$tar" --format=ustar --sort=name --mtime="$date" \
        --owner="$owner" --group="$owner" --numeric-owner --mode="$mode" \
        --directory "$dir" -- "$@"
}

date="$(member "$source/extension/manifest.json" date)T00:00:00Z"

# Makes the package of the files in $work/files, in the order given.
package() { # NAME FILE…
    local name=$1
    shift
    add "$work/package.tar" $user 0644 "$work/files" "$@"
    mkdir -p "$out"
    gzip -9 --no-name <"$work/package.tar" >"$work/package.spx"
    if [[ -n $env_file$config_dir ]]; then
        chmod 0600 "$work/package.spx"
    fi
    mv "$work/package.spx" "$out/$name"
    echo "$out/$name: $(wc -c <"$out/$name") bytes"
}

# Says which files hold something that nobody else should see.
warn_of_credentials() { # FILE…
    local file
    for file in "$@"; do
        case $file in
            */.env | *.toml | *.csv | *.pem | *.crt) grep -qE 'PRIVATE KEY|^[^#]*([Tt][Oo][Kk][Ee][Nn]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Aa][Uu][Tt][Hh]|[Pp][Aa][Ss][Ss])[A-Za-z_]*[[:space:]]*=[[:space:]]*[^[:space:]#{]' "$file" || continue ;;
        esac
        # All else is a key or a secret.
        echo "the package contains credentials (${file##*/}): keep it as you keep a password"
    done
}

mkdir "$work/files"

if [[ -n $config_dir ]]; then
    [[ -d $config_dir ]] || fail "$config_dir is no directory"
    config_version=${config_version:-1.0.0}
    [[ $config_version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "--version $config_version: write X.Y.Z"
    [[ -z $env_file$binary ]] || fail "--config-only packs the files of $config_dir alone; put the .env there"
    files=()
    for file in "$config_dir"/* "$config_dir"/.[!.]*; do
        name=${file##*/}
        case $name in
            .env | relay.toml | assets.csv | *.pem | *.crt | *.key | *.token | *.secret) ;;
            *.* | *[A-Z]*) fail "$file: not packed. A configuration holds .env, relay.toml, assets.csv, and what they name as /config/NAME: certificates and keys (*.pem, *.crt, *.key), and secrets, in files like cmms-token" ;;
        esac
        [[ -f $file ]] || fail "$file is no file"
        [[ $name =~ ^[A-Za-z0-9.-]+$ ]] || fail "$file: use only letters, digits, dots and hyphens in the name"
        cp "$file" "$work/files/$name"
        files+=("$name")
    done
    ((${#files[@]} > 0)) || fail "$config_dir is empty"
    cp "$source/extension/icon.png" "$work/files/"
    cat >"$work/files/manifest.json" <<EOF
{
  "extension_name": "orbit-relay-config",
  "description": "Settings of orbit-relay for this plant",
  "version": "$config_version",
  "date": "${date%T*}",
  "installation_target": "orbit",
  "icon": "icon.png"
}
EOF
    package "orbit-relay-config-$config_version.spx" manifest.json "${files[@]}" icon.png
    warn_of_credentials "${files[@]/#/$work/files/}"
    exit 0
fi

[[ -z $config_version ]] || fail "--version is for --config-only; that of the extension stands in Cargo.toml"
version=$(member "$source/extension/manifest.json" version)
grep -q "^version = \"$version\"\$" "$source/Cargo.toml" ||
    fail "extension/manifest.json has version $version, Cargo.toml another"
grep -q "image: \"orbit-relay:$version\"" "$source/extension/docker-compose.yml" ||
    fail "extension/docker-compose.yml has another version than $version in \`image\`"
[[ -z $env_file || -f $env_file ]] || fail "$env_file is no file; begin with: cp extension/.env.example extension/.env"

if [[ -z $binary ]]; then
    command -v cargo >/dev/null || fail "cargo is missing: install Rust, see https://rustup.rs"
    sysroot=$(cd "$source" && rustc --print sysroot)
    [[ -d $sysroot/lib/rustlib/$target ]] || fail "Rust's target $target is missing: rustup target add $target"
    command -v x86_64-linux-musl-gcc >/dev/null || command -v musl-gcc >/dev/null ||
        fail "a C compiler for musl is missing: apt-get install musl-tools (or the like)"
    (
        cd "$source"
        # Where crates lie on this machine does not matter.
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS # they would take the place of .cargo/config.toml's
        cargo build --profile ship --locked --no-default-features --target $target --bin orbit-relay \
            --config "target.$target.rustflags=['--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo']"
    )
    binary=${CARGO_TARGET_DIR:-$source/target}/$target/ship/orbit-relay
fi
[[ -f $binary ]] || fail "$binary is no file"
[[ $(od -An -tx1 -j0 -N5 "$binary")$(od -An -tx1 -j18 -N2 "$binary") == ' 7f 45 4c 46 02 3e 00' ]] ||
    fail "$binary is no program for x86-64"
! grep -aq '/lib64/ld-linux' "$binary" || fail "$binary needs the libraries of a system, and the image has none: build it for $target"

# The image: one layer with the program and an empty data directory, written as `docker save` would.
mkdir -p "$work/rootfs/data" "$work/image"
cp "$binary" "$work/rootfs/orbit-relay"
add "$work/layer.tar" 0 0755 "$work/rootfs" orbit-relay
add "$work/layer.tar" $user 0700 "$work/rootfs" data
layer=$(sha256sum <"$work/layer.tar")
layer=${layer%% *}
mkdir "$work/image/$layer"
mv "$work/layer.tar" "$work/image/$layer/layer.tar"
cat >"$work/config.json" <<EOF
{"architecture":"amd64","os":"linux","created":"$date",
"config":{"User":"$user:$user","WorkingDir":"/","Entrypoint":["/orbit-relay"],
"Env":["DATA_DIR=/data","CONFIG_DIR=/config","OPS_BIND=0.0.0.0:22101"],
"ExposedPorts":{"21600/tcp":{},"22101/tcp":{}},
"Healthcheck":{"Test":["CMD","/orbit-relay","health"],"Interval":30000000000,"Timeout":10000000000,"StartPeriod":10000000000,"Retries":3},
"Labels":{"org.opencontainers.image.title":"orbit-relay","org.opencontainers.image.licenses":"Apache-2.0"}},
"history":[{"created":"$date","created_by":"build_spx.sh"}],
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
EOF
config=$(sha256sum <"$work/config.json")
config=${config%% *}.json
mv "$work/config.json" "$work/image/$config"
printf '[{"Config":"%s","RepoTags":["orbit-relay:%s"],"Layers":["%s/layer.tar"]}]\n' \
    "$config" "$version" "$layer" >"$work/image/manifest.json"
add "$work/image.tar" 0 0644 "$work/image" manifest.json "$config" "$layer/layer.tar"
gzip -9 --no-name <"$work/image.tar" >"$work/files/orbit-relay.tar.gz"

cp "$source/extension/"{manifest.json,docker-compose.yml,icon.png} "$work/files/"
files=(manifest.json docker-compose.yml icon.png)
if [[ -n $env_file ]]; then
    cp "$env_file" "$work/files/.env"
    files+=(.env)
fi
files+=(orbit-relay.tar.gz)
package "orbit-relay-$version.spx" "${files[@]}"
echo "image orbit-relay:$version: $(wc -c <"$work/image/$layer/layer.tar") bytes"
if [[ -n $env_file ]]; then
    warn_of_credentials "$work/files/.env"
fi
