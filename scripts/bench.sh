#!/usr/bin/env bash
# Measures ingest and queries of the release build on this machine: NODES=1 (or 3) servers of its own,
# on ports and in a folder of their own, removed at the end. Arguments go to both benches.
set -euo pipefail
cd "$(dirname "$0")/.."

hushlog=target/release/hushlog
nodes=${NODES:-1}
http=17700
grpc=14317
data=$(mktemp -d "${TMPDIR:-/tmp}/hushlog-bench.XXXXXX")
server=

finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap finish EXIT

if [ "$nodes" -eq 1 ]; then
    "$hushlog" serve --data "$data/node" --http "127.0.0.1:$http" --grpc "127.0.0.1:$grpc" >"$data/log" 2>&1 &
else
    "$hushlog" cluster --nodes "$nodes" --data "$data/cluster" --http-base "$http" --grpc-base "$grpc" \
        >"$data/log" 2>&1 &
fi
server=$!

# Ready when the port answers 200; bash speaks enough HTTP for that.
ready() {
    local answer
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
    read -r answer <&3 || true
    exec 3>&-
    [[ $answer == *" 200 "* ]]
}

servers=
for ((node = 0; node < nodes; node++)); do
    until ready $((http + node)) 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || { cat "$data/log" >&2; exit 1; }
        sleep 0.1
    done
    servers+=${servers:+,}http://127.0.0.1:$((http + node))
done

# Both must mean the same records, so the newest one's time is fixed here.
end=$(date -u +%Y-%m-%dT%H:%M:%SZ)
"$hushlog" bench ingest --server "$servers" --end "$end" "$@"
"$hushlog" bench query --server "$servers" --end "$end" "$@"
