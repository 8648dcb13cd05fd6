#!/usr/bin/env bash
# Commands per second of the same binary as one program, as seven processes and, where a container
# engine answers, as seven containers: all stand at the same time, and the rounds go around them.
#
#   ./bench/services.sh                         medians in a table
#   BASELINE=FILE ROUNDS=3 SECONDS_EACH=4 ./bench/services.sh    with another binary's `up` beside them
#
# Needs: a release build (make build), jq; for the containers the image (make image).
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
ROUNDS=${ROUNDS:-3}
SECONDS_EACH=${SECONDS_EACH:-4}
BIN=$(realpath "${MILLWRIGHT_BIN:-target/release/millwright}")
IMAGE=${MILLWRIGHT_IMAGE:-millwright:latest}
[ -x "$BIN" ] || { echo "bench: $BIN is not built: make build" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/mw-bench.XXXXXX")
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose+=(-p mwbench -f compose/compose.yaml -f compose/demo.yaml -f tests/docker/plain-mqtt.yaml)
containers=""
finish() {
    local p
    for p in $(jobs -pr); do kill "$p" 2>/dev/null || true; done
    [ -z "$containers" ] || "${compose[@]}" down -v >/dev/null 2>&1 || true
    wait 2>/dev/null || true
    [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap finish EXIT

names=() ports=() pids=()
free_port() { local p; for p in $(shuf -i 20000-29999 -n 50); do (: </dev/tcp/127.0.0.1/"$p") 2>/dev/null || { echo "$p"; return; }; done; }

one_program() { # NAME BINARY
    local port
    port=$(free_port)
    RUST_LOG=warn "$2" up --demo --data "$work/$1" --mqtt "127.0.0.1:$port" --mqtts off --https 127.0.0.1:0 \
        --rate-limit 0 >"$work/$1.out" 2>&1 &
    pids+=("$1:$!") names+=("$1") ports+=("$port")
}

processes() {
    local d=$work/services mqtt mqtts name
    mqtt=$(free_port) mqtts=$(free_port)
    "$BIN" init "$d" >/dev/null
    alone() { name=$1; shift; RUST_LOG=warn "$BIN" "$name" --data "$work/data/$name" "$@" >"$work/$name.out" 2>&1 & pids+=("services:$!"); }
    joined() { name=$1; shift; alone "$name" --broker "mqtts://localhost:$mqtts" --ca "$d/ca.pem" --secret-file "$d/secrets/$name" "$@"; }
    alone broker --service-secrets "$d/secrets" --mqtt "127.0.0.1:$mqtt" --mqtts "127.0.0.1:$mqtts" \
        --tls-cert "$d/broker.pem" --tls-key "$d/broker.key" --rate-limit 0
    joined identity --demo --insecure-demo
    joined production --demo --insecure-demo
    joined after-service
    joined processes
    joined projections --views "$work/views"
    joined query-api --views "$work/views" --https 127.0.0.1:0 --tls-cert "$d/query-api.pem" --tls-key "$d/query-api.key"
    names+=(services) ports+=("$mqtt")
}

in_containers() {
    export MILLWRIGHT_IMAGE=$IMAGE MILLWRIGHT_SECRETS=$work/secrets MILLWRIGHT_MQTT_PORT MILLWRIGHT_MQTTS_PORT \
        MILLWRIGHT_HTTPS_PORT MILLWRIGHT_RATE_LIMIT=0 MILLWRIGHT_CPUS=2 RUST_LOG=warn
    MILLWRIGHT_MQTT_PORT=$(free_port) MILLWRIGHT_MQTTS_PORT=$(free_port) MILLWRIGHT_HTTPS_PORT=$(free_port)
    "$BIN" init "$MILLWRIGHT_SECRETS" --owner 65532 >/dev/null
    containers=yes
    "${compose[@]}" up -d >"$work/compose.out" 2>&1 || { cat "$work/compose.out" >&2; exit 1; }
    names+=(containers) ports+=("$MILLWRIGHT_MQTT_PORT")
}

load() { # PORT IN_FLIGHT CONNECTIONS SECONDS
    MILLWRIGHT_SECRET=millwright-demo "$BIN" bench commands --mqtt "mqtt://127.0.0.1:$1" --account planner-1 \
        --site plant-1 --in-flight "$2" --connections "$3" --seconds "$4" --json
}

[ -z "${BASELINE:-}" ] || one_program baseline "$BASELINE"
one_program up "$BIN"
processes
if docker image inspect "$IMAGE" >/dev/null 2>&1; then in_containers; else echo "bench: no image $IMAGE: without containers" >&2; fi
for port in "${ports[@]}"; do
    for _ in $(seq 60); do load "$port" 1 1 1 >/dev/null 2>&1 && break; sleep 0.5; done
done

for round in $(seq "$ROUNDS"); do
    for shape in "1 1" "64 8" "256 8"; do
        for i in "${!names[@]}"; do
            # shellcheck disable=SC2086 # two numbers
            load "${ports[$i]}" $shape "$SECONDS_EACH" | jq -c --arg n "${names[$i]}" '. + {system: $n}' >>"$work/rounds"
            echo "bench: round $round, ${names[$i]}, $shape" >&2
        done
    done
done
jq -rs 'def median: sort | .[length / 2 | floor];
    ["in flight", "connections", "system", "commands/s", "p50 ms", "p99 ms"],
    (group_by([.in_flight, .system])[] | [.[0].in_flight, .[0].connections, .[0].system,
        (map(.commands_per_second) | median | round), (map(.p50_ms) | median), (map(.p99_ms) | median)])
    | @tsv' "$work/rounds" | column -t -s $'\t'
sleep 5
echo "resident after the load:"
for entry in "${pids[@]}"; do
    echo "${entry%%:*} $(awk '/VmRSS/ {print $2}' "/proc/${entry##*:}/status")"
done | awk '{kib[$1] += $2} END {for (s in kib) printf "%s %.0f MiB\n", s, kib[s] / 1024}'
