#!/usr/bin/env bash
# What each backend costs to build: the `server` example as an application of its own, built from
# scratch in release mode. Prints a table. Builds run one after the other, with all cores; downloads
# are not counted. On a machine with other load, the processor time is the better measure.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

TIMEFORMAT='%R s | %U s'
in_mb() { stat -c %s "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'; }

echo "| | crates to compile | cold release build | processor time of it | binary | stripped |"
echo "|---|---|---|---|---|---|"
for folder in adapter-tokio-postgres adapter-diesel; do
  application=$work/$folder
  mkdir -p "$application/src"
  cp "$folder/examples/server.rs" "$application/src/main.rs"
  cp Cargo.lock "$application"
  cat > "$application/Cargo.toml" <<TOML
[package]
name = "server"
version = "0.1.0"
edition = "2024"

[dependencies]
$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml") = { path = "$root/$folder" }
socketioxide = "0.18.9"
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

[workspace]
TOML
  cd "$application"
  cargo fetch --quiet
  crates=$(cargo tree --edges=normal,build --prefix=none --format='{p}' | sed 's/ (\*)$//' | sort -u | wc -l)
  if ! times=$({ time cargo build --release --offline --target-dir "$work/target" >"$work/log" 2>&1; } 2>&1); then
    cat "$work/log" >&2
    exit 1
  fi
  binary=$work/target/release/server
  strip -o "$work/stripped" "$binary"
  echo "| ${folder#adapter-} | $((crates - 1)) | $times | $(in_mb "$binary") | $(in_mb "$work/stripped") |"
  rm -rf "$work/target"
  cd "$root"
done
