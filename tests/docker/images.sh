#!/usr/bin/env bash
# Builds the image from the Dockerfile as `${MILLWRIGHT_IMAGE:-millwright:test}` and checks its size.
# The base image is pulled by its name where that is possible; elsewhere one of the same name is made
# of Debian's packages and the Rust toolchain of this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${MILLWRIGHT_IMAGE:-millwright:test}
base=$(sed -n 's/^ARG RUST_IMAGE=//p' Dockerfile)
most=$((40 * 1000 * 1000))

make_base() {
    local root cargo_home
    root=$(mktemp -d /tmp/millwright-base.XXXXXX)
    trap 'rm -rf "$root"' RETURN
    echo "making $base of Debian's packages"
    debootstrap --variant=minbase --include=ca-certificates,gcc,g++,libc6-dev,cmake,make,perl \
        bookworm "$root" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc "$root.log"
    mkdir -p "$root/usr/local/cargo/bin" "$root/usr/local/toolchain"
    cp -a "$(rustc --print sysroot)"/. "$root/usr/local/toolchain/"
    rm -rf "$root/usr/local/toolchain/share"
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    # Where crates come from is this machine's business.
    [ ! -f "$cargo_home/config.toml" ] || cp "$cargo_home/config.toml" "$root/usr/local/cargo/"
    if [ -d /usr/local/share/ca-certificates ]; then
        cp -a /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    fi
    tar -C "$root" -c . | docker import \
        --change 'ENV PATH=/usr/local/toolchain/bin:/usr/local/cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' - "$base" >/dev/null
}

if [ -n "${MILLWRIGHT_STATIC_BIN:-}" ]; then
    # For whoever works on what surrounds the binary: the last stage alone, around a given one.
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    mkdir -p "$dir"/out/data "$dir"/out/views "$dir"/out/tmp
    cp "$MILLWRIGHT_STATIC_BIN" "$dir/out/millwright"
    { echo "FROM scratch AS build"; echo "COPY out /out"; sed -n '/^FROM scratch$/,$p' Dockerfile; } >"$dir/Dockerfile"
    docker build -q -t "$image" "$dir" >/dev/null
else
    docker image inspect "$base" >/dev/null 2>&1 || docker pull -q "$base" >/dev/null 2>&1 || make_base
    docker build --network host --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" -t "$image" . \
        >/tmp/millwright-image.log 2>&1 || { tail -n 40 /tmp/millwright-image.log >&2; exit 1; }
fi
size=$(docker image inspect --format '{{.Size}}' "$image")
echo "$image: $((size / 1000 / 1000)) MB"
[ "$size" -lt "$most" ] || { echo "the image is over 40 MB" >&2; exit 1; }
