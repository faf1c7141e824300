#!/usr/bin/env bash
# Runs what compose.yaml describes, without containers: two Rust and two Node.js servers, and nginx.
#
#   examples/nginx/run.sh             until Ctrl-C
#   PORT=8081 examples/nginx/run.sh   on another port than 8080
#
# With DATABASE_URL it uses that database, otherwise a private PostgreSQL that ends with it. With
# RUST_SERVER it runs this program, otherwise it builds `graceful`.
set -euo pipefail
# Each process has a group of its own. Otherwise Ctrl-C would reach all at once, and the servers
# would lose the database while they leave.
set -m
cd "$(dirname "$0")/../.."

for program in nginx node npm; do
  if ! command -v "$program" >/dev/null; then
    echo "$program is missing: install it" >&2
    exit 1
  fi
done

directory=$(mktemp -d)
pids=()
stop() {
  if [ ${#pids[@]} != 0 ]; then
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  rm -rf "$directory"
}
trap stop EXIT
trap exit INT TERM

if [ -z "${RUST_SERVER:-}" ]; then
  cargo build --quiet --package socketio-pg-examples --bin graceful
  RUST_SERVER=target/debug/graceful
fi
if [ -z "${DATABASE_URL:-}" ]; then
  cargo build --quiet --package socketio-pg-throwaway --example private
  # It ends when its standard input does, so with this script.
  coproc postgres { target/debug/examples/private; }
  read -r DATABASE_URL <&"${postgres[0]}"
fi
export DATABASE_URL
if [ ! -d examples/nginx/node/node_modules ]; then (cd examples/nginx/node && npm ci); fi

cp examples/nginx/nginx.conf "$directory/nginx.conf"
configure() {
  sed "$1" "$directory/nginx.conf" >"$directory/changed"
  mv "$directory/changed" "$directory/nginx.conf"
}

# Starts a server on a free port, and puts its address in place of its name.
start() {
  local name=$1 port=
  shift
  "$@" 127.0.0.1:0 >"$directory/$name" &
  pids+=($!)
  until [ -n "$port" ]; do
    if ! kill -0 $! 2>/dev/null; then exit 1; fi
    sleep 0.1
    port=$(sed -n 's|^listening on http://127.0.0.1:||p' "$directory/$name")
  done
  configure "s| $name:3000;| 127.0.0.1:$port;|"
}
# The Rust servers first: they create the table.
start rust-1 "$RUST_SERVER"
start rust-2 "$RUST_SERVER"
start node-1 node examples/nginx/node/server.mjs
start node-2 node examples/nginx/node/server.mjs

port=${PORT:-8080}
configure "s|listen 80;|listen 127.0.0.1:$port;|"
# Where nginx writes when it is not run by root.
paths=
for kind in client_body proxy fastcgi uwsgi scgi; do paths+=" ${kind}_temp_path $directory/$kind;"; done
configure "s|^http {|http { access_log off;$paths|"
# Run by root, its workers have another account.
chmod 711 "$directory"
nginx -p "$directory" -c "$directory/nginx.conf" -e stderr -g "daemon off; pid $directory/nginx.pid;" &
pids+=($!)
# It writes this file once it listens.
until [ -s "$directory/nginx.pid" ]; do
  if ! kill -0 $! 2>/dev/null; then exit 1; fi
  sleep 0.1
done

echo "connect clients to http://127.0.0.1:$port; Ctrl-C stops everything"
wait -n "${pids[@]}"
