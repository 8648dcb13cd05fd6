#!/usr/bin/env bash
# Makes sure that a container engine answers: installs and starts one where that is possible.
# Exit 75 with one line when it is not.
set -euo pipefail
no() { echo "no container engine: $1" >&2; exit 75; }

missing=()
command -v docker >/dev/null 2>&1 || missing+=(docker.io)
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null 2>&1 || missing+=(docker-compose)
command -v debootstrap >/dev/null 2>&1 || missing+=(debootstrap)
docker info >/dev/null 2>&1 || command -v dockerd >/dev/null 2>&1 || missing+=(docker.io)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || no "install ${missing[*]} first"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" iptables >/dev/null ||
        no "${missing[*]} could not be installed"
fi
docker info >/dev/null 2>&1 && exit 0
[ "$(id -u)" = 0 ] || no "the daemon does not run, and only root can start it"
# What a daemon that was killed left behind: its id may be another's by now, or nobody's yet taken back.
for pid in /var/run/docker.pid /run/docker/containerd/containerd.pid; do
    [ -f "$pid" ] || continue
    state=$(awk '/^State:/ {print $2}' "/proc/$(cat "$pid")/status" 2>/dev/null || true)
    name=$(cat "/proc/$(cat "$pid")/comm" 2>/dev/null || true)
    case "$state:$name" in
        [!Z]*:dockerd | [!Z]*:containerd) ;;
        *) rm -f "$pid" ;;
    esac
done
log=$(mktemp /tmp/dockerd.XXXXXX.log)
# It outlives this script: the tests talk to it.
setsid dockerd >"$log" 2>&1 </dev/null &
# Whoever wants to end it later names a file for its id.
[ -z "${MILLWRIGHT_DOCKERD_PID:-}" ] || echo $! >"$MILLWRIGHT_DOCKERD_PID"
for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && exit 0
    sleep 0.5
done
no "dockerd did not start; the end of $log: $(tail -n 1 "$log")"
