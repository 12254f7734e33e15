#!/usr/bin/env bash
# Makes a Docker image that can build the relay, of what this machine has: shell, C compiler for
# musl, Rust's toolchain, the crates that were fetched already, and what build_spx.sh has compiled of
# them. Debian and its like.
#
#   builder.sh WORK_DIRECTORY IMAGE
set -euo pipefail

work=$1 image=$2
mkdir -p "$work"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
compiled=${CARGO_TARGET_DIR:-$PWD/target}

# Packages, all that they need, and their files.
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances \
    base-files bash dash coreutils sed grep gcc libc6-dev musl-tools | grep '^[a-z0-9]' | sort -u)
{
    printf '%s\n' /bin /sbin /lib /lib64 /usr/bin/sh /usr/bin/cc
    # shellcheck disable=SC2086 # a list
    dpkg-query --listfiles $packages
    find "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$sysroot/lib" -not -path '*/share/*'
    find "$cargo_home/registry"
    find /etc/alternatives -maxdepth 1
    # Crates only: the relay itself has to be built there.
    find "$compiled/ship" "$compiled/x86_64-unknown-linux-musl/ship" \
        -not -path '*/incremental/*' -not -path '*orbit[-_]relay*'
    # /bin and its like are links into /usr; packages may list their files by either name.
} 2>/dev/null | sed -E 's#^/(bin|sbin|lib|lib64)/#/usr&#' | sort -u >"$work/files"
grep -vE '^/usr/share/(doc|man|locale|info|lintian)' "$work/files" |
    tar --create --no-recursion --ignore-failed-read --files-from=- --absolute-names |
    docker import \
        --change "ENV PATH=$sysroot/bin:/usr/local/bin:/usr/bin:/bin CARGO_HOME=$cargo_home CARGO_TARGET_DIR=$compiled CARGO_NET_OFFLINE=true HOME=$HOME" \
        - "$image" >/dev/null
echo "$image: $(docker image inspect --format '{{.Size}}' "$image") bytes"
