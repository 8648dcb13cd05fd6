#!/usr/bin/env bash
# The figures of README, measured side by side in one run on this machine: rounds alternate
# between the program and what it is compared with, and medians are shown, because absolute
# figures of a shared machine mean little.
#
#   ./bench/run.sh                          a table, and target/bench.json
#   ROUNDS=5 SECONDS_EACH=5 OUT=FILE EVENTS=200000 ./bench/run.sh
#
# Needs: a release build (make build), mosquitto, jq, curl.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
export LC_ALL=C

ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-5}
EVENTS=${EVENTS:-200000}
OUT=${OUT:-target/bench.json}
BIN=${MILLWRIGHT_BIN:-target/release/millwright}
BIN=$(realpath "$BIN" 2>/dev/null || echo "$BIN")

for tool in mosquitto mosquitto_pub jq curl; do
    command -v "$tool" >/dev/null || { echo "bench: $tool is missing: apt-get install mosquitto mosquitto-clients jq curl" >&2; exit 1; }
done
[ -x "$BIN" ] || { echo "bench: $BIN is not built: make build" >&2; exit 1; }

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/mw-bench.XXXXXX")
finish() {
    # Only what this shell started and what still runs.
    local p
    for p in $(jobs -pr); do kill "$p" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

say() { echo "bench: $*" >&2; }

# start DATA: starts the demo system; sets pid, mqtt and https.
start() {
    rm -f "$work/out"
    mkfifo "$work/out"
    RUST_LOG=warn "$BIN" up --demo --data "$1" --mqtt 127.0.0.1:0 --mqtts off --https 127.0.0.1:0 --rate-limit 0 \
        >"$work/out" 2>>"$work/stderr" &
    pid=$!
    mqtt="" https="" ready=""
    exec 3<"$work/out"
    while read -r -t 300 -u 3 word name addr; do
        case "$word $name" in
            "listening mqtt") mqtt=$addr ;;
            "listening https") https=$addr ;;
            "ready ") ready=yes; break ;;
        esac
    done
    [ -n "$ready" ] || { say "the system did not start:"; cat "$work/stderr" >&2; exit 1; }
    # Whatever else it prints must not block it.
    cat <&3 >/dev/null &
    exec 3<&-
}

# stop SIGNAL: ends the system and waits until it is gone.
stop() {
    kill "-$1" "$pid"
    wait "$pid" 2>/dev/null || true
}

# position DATA: the last position of production, as the API says.
position() {
    local token
    token=$(curl -sS --cacert "$1/tls/ca.pem" "https://localhost:${https##*:}/v1/token" \
        -d grant_type=password -d username=planner-1 -d password=millwright-demo | jq -r .access_token)
    curl -sS --cacert "$1/tls/ca.pem" -H "authorization: Bearer $token" \
        "https://localhost:${https##*:}/v1/work-orders?limit=1" | jq .position
}

# load IN_FLIGHT CONNECTIONS SECONDS: commands against the running system; one JSON object.
load() {
    MILLWRIGHT_SECRET=millwright-demo "$BIN" bench commands --mqtt "mqtt://$mqtt" --account planner-1 --site plant-1 \
        --in-flight "$1" --connections "$2" --seconds "$3" --json
}

# echoed IN_FLIGHT CONNECTIONS SECONDS: the same bytes through mosquitto and back.
echoed() {
    "$BIN" bench commands --echo --mqtt "mqtt://127.0.0.1:$peer_port" --account planner-1 --site plant-1 \
        --in-flight "$1" --connections "$2" --seconds "$3" --json
}

start_peer() {
    local try
    for try in 1 2 3 4 5; do
        peer_port=$((20000 + RANDOM % 20000))
        cat >"$work/mosquitto.conf" <<CONF
listener $peer_port 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
persistence false
log_dest none
CONF
        mosquitto -c "$work/mosquitto.conf" >/dev/null 2>&1 &
        peer=$!
        for _ in $(seq 50); do
            if mosquitto_pub -h 127.0.0.1 -p "$peer_port" -t probe -n 2>/dev/null; then
                return
            fi
            kill -0 "$peer" 2>/dev/null || break
            sleep 0.1
        done
        kill "$peer" 2>/dev/null || true
    done
    say "mosquitto did not start"
    exit 1
}

# ---- durable append, beside a plain zero-filled file ------------------------------------------
say "durable append, $ROUNDS rounds of $SECONDS_EACH s a shape"
: >"$work/append.jsonl"
for round in $(seq "$ROUNDS"); do
    "$BIN" bench append --seconds "$SECONDS_EACH" --dir "$work/append-$round" --json | jq -c . >>"$work/append.jsonl"
    rm -rf "$work/append-$round"
done

# ---- commands over MQTT, beside mosquitto's echo ----------------------------------------------
start_peer
start "$work/commands"
sleep 2
rss_idle=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
: >"$work/commands.jsonl"
for round in $(seq "$ROUNDS"); do
    say "commands, round $round of $ROUNDS"
    for shape in "1 1" "64 8" "256 8"; do
        read -r in_flight connections <<<"$shape"
        # Who goes first changes with every round.
        order="ours echo"
        [ $((round % 2)) -eq 0 ] && order="echo ours"
        for who in $order; do
            if [ "$who" = ours ]; then r=$(load "$in_flight" "$connections" "$SECONDS_EACH"); else r=$(echoed "$in_flight" "$connections" "$SECONDS_EACH"); fi
            jq -c --arg who "$who" --argjson n "$in_flight" --argjson c "$connections" \
                '{who: $who, in_flight: $n, connections: $c, commands_per_second, p50_ms, p99_ms, p999_ms}' <<<"$r" >>"$work/commands.jsonl"
        done
    done
done
stop TERM
kill "$peer" 2>/dev/null || true

# ---- replay and restart with a history --------------------------------------------------------
say "a history of $EVENTS events"
start "$work/history"
for _ in $(seq 100); do
    head=$(position "$work/history")
    [ "$head" -ge "$EVENTS" ] && break
    load 256 8 5 >/dev/null
done
say "kill -9 and restart with $head events"
: >"$work/restarts"
for _ in 1 2 3; do
    stop KILL
    before=$(date +%s%N)
    start "$work/history"
    echo $((($(date +%s%N) - before) / 1000000)) >>"$work/restarts"
done
rss_loaded=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
stop TERM
: >"$work/replay.jsonl"
for _ in $(seq "$ROUNDS"); do
    "$BIN" bench replay --data "$work/history" --json | jq -c . >>"$work/replay.jsonl"
done

# ---- all of it ---------------------------------------------------------------------------------
mkdir -p "$(dirname "$OUT")"
jq -n \
    --slurpfile append "$work/append.jsonl" --slurpfile commands "$work/commands.jsonl" \
    --slurpfile replay "$work/replay.jsonl" --slurpfile restarts "$work/restarts" \
    --argjson rounds "$ROUNDS" --argjson seconds "$SECONDS_EACH" --argjson head "$head" \
    --argjson idle "$rss_idle" --argjson loaded "$rss_loaded" \
    --arg commit "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" --arg cores "$(nproc)" \
    --arg kernel "$(uname -sr)" --arg disk "$(stat -f -c %T "$work")" --arg when "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    --arg mosquitto "$(mosquitto -h 2>/dev/null | head -1 || true)" '
    def median: map(select(. != null)) | sort | if length == 0 then null else .[length / 2 | floor] end;
    def ratio($a; $b): if ($b // 0) == 0 or $a == null then null else ($a / $b * 100 | round) / 100 end;
    {
      when: $when, commit: $commit, machine: {cores: $cores, kernel: $kernel, file_system: $disk},
      peer: $mosquitto, rounds: $rounds, seconds: $seconds,
      append: ([$append[].rows[]] | group_by(.in_flight) | map({
          in_flight: .[0].in_flight,
          events_per_second: (map(.events_per_second) | median),
          plain_events_per_second: (map(.plain_events_per_second) | median)
        } | . + {ratio: ratio(.events_per_second; .plain_events_per_second)})),
      commands: ($commands | group_by([.in_flight, .connections]) | map(
          (map(select(.who == "ours"))) as $ours | (map(select(.who == "echo"))) as $echo
          | def figures($l): {commands_per_second: ($l | map(.commands_per_second) | median),
                p50_ms: ($l | map(.p50_ms) | median), p99_ms: ($l | map(.p99_ms) | median), p999_ms: ($l | map(.p999_ms) | median)};
          {in_flight: .[0].in_flight, connections: .[0].connections, ours: figures($ours), mosquitto_echo: figures($echo)}
          | . + {ratio: ratio(.ours.commands_per_second; .mosquitto_echo.commands_per_second),
                 p99_ratio: ratio(.ours.p99_ms; .mosquitto_echo.p99_ms)})),
      replay: {events: $head, events_per_second: ($replay | map(.events_per_second) | median)},
      restart: {events: $head, ms: ($restarts | median)},
      memory_kib: {idle: $idle, after_restart: $loaded},
      raw: {append: $append, commands: $commands, replay: $replay, restarts_ms: $restarts}
    }' >"$OUT"

jq -r '
    def n: if . == null then "-" else (. | round | tostring) end;
    def ms: if . == null then "-" else ((. * 100 | round) / 100 | tostring) end;
    def cell($w): tostring | . + (" " * ([$w - length, 1] | max));
    "commit \(.commit), \(.machine.cores) cores, \(.machine.kernel), \(.machine.file_system); medians of \(.rounds) rounds of \(.seconds) s", "",
    (["durable append", "events/s", "plain file", "ratio"] | map(cell(18)) | add),
    (.append[] | ["\(.in_flight) in flight", (.events_per_second | n), (.plain_events_per_second | n), (.ratio // "-")] | map(cell(18)) | add), "",
    (["commands", "commands/s", "p50/p99 ms", "mosquitto echo", "p50/p99 ms", "ratio", "p99 ratio"] | map(cell(16)) | add),
    (.commands[] | ["\(.in_flight) over \(.connections)", (.ours.commands_per_second | n), "\(.ours.p50_ms | ms)/\(.ours.p99_ms | ms)",
        (.mosquitto_echo.commands_per_second | n), "\(.mosquitto_echo.p50_ms | ms)/\(.mosquitto_echo.p99_ms | ms)", (.ratio // "-"), (.p99_ratio // "-")] | map(cell(16)) | add), "",
    "replay and decode      \(.replay.events_per_second | n) events/s of \(.replay.events)",
    "restart after kill -9  \(.restart.ms | n) ms with \(.restart.events) events",
    "resident memory        idle \(.memory_kib.idle / 1024 | n) MiB, after that restart \(.memory_kib.after_restart / 1024 | n) MiB"
' "$OUT"
say "all figures: $OUT"
