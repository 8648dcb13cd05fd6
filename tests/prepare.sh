#!/usr/bin/env bash
# Installs the real clients that the black-box tests use, where they are missing and can be had.
set -euo pipefail
missing=()
for tool in mosquitto_pub mosquitto_sub curl jq; do
    command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends mosquitto-clients curl jq
else
    echo "missing: ${missing[*]}. Install them first: apt-get install mosquitto-clients curl jq" >&2
    exit 1
fi
