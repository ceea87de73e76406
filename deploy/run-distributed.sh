#!/usr/bin/env bash
# NATS with JetStream, Redis, MongoDB, one gateway and one consumer on this machine. Ctrl-C stops all of them.
# Ports and data can be moved by the variables below; what is started here is what is stopped here, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

DATA=${DATA:-.services/data}
NATS_PORT=${NATS_PORT:-4222}
REDIS_PORT=${REDIS_PORT:-6379}
MONGODB_PORT=${MONGODB_PORT:-27017}
LISTEN=${LISTEN:-127.0.0.1:8080}
METRICS_LISTEN=${METRICS_LISTEN:-127.0.0.1:9091}
CABILDO=${CABILDO:-target/release/cabildo}
PATH="$PWD/.services/bin:$PATH"

mkdir -p "$DATA"/{nats,redis,mongodb,log}

pids=()
stop() {
  trap - EXIT INT TERM
  # The roles first, while their servers still answer; then the servers, in the reverse order of their start.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null || true
    wait "${pids[i]}" 2>/dev/null || true
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start() {
  local name=$1
  shift
  # A group of its own: Ctrl-C must reach this script alone, which then stops them in order.
  setsid "$@" >"$DATA/log/$name.log" 2>&1 &
  pids+=($!)
}

# A server that is there already would be taken for ours, and its data with it.
for port in "$NATS_PORT" "$REDIS_PORT" "$MONGODB_PORT"; do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "something listens on port $port already: stop it, or set NATS_PORT, REDIS_PORT or MONGODB_PORT" >&2
    exit 1
  fi
done

# Waits until a port answers, at most 30 s, and fails at once if the server has gone.
await() {
  local name=$1 port=$2 pid=${pids[-1]}
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    read -rt 0.1 <> <(:) || true
  done
  echo "$name does not answer on port $port; the end of $DATA/log/$name.log:" >&2
  tail -n 20 "$DATA/log/$name.log" >&2
  exit 1
}

start nats nats-server --addr 127.0.0.1 --port "$NATS_PORT" --jetstream --store_dir "$DATA/nats"
await nats "$NATS_PORT"
start redis redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$DATA/redis" --appendonly yes
await redis "$REDIS_PORT"
start mongodb mongod --bind_ip 127.0.0.1 --port "$MONGODB_PORT" --dbpath "$DATA/mongodb"
await mongodb "$MONGODB_PORT"

export CABILDO_JOURNAL="nats://127.0.0.1:$NATS_PORT"
export CABILDO_COUNTERS="redis://127.0.0.1:$REDIS_PORT"
export CABILDO_DOCUMENTS="mongodb://127.0.0.1:$MONGODB_PORT/cabildo"

start consumer "$CABILDO" consumer --metrics-listen "$METRICS_LISTEN"
echo "logs and data are in $DATA; Ctrl-C stops everything" >&2
# The gateway prints its address itself.
setsid "$CABILDO" gateway --listen "$LISTEN" &
pids+=($!)
wait "${pids[-1]}"
