#!/usr/bin/env bash
# Fuzzes each target for so many seconds, one after the other: fuzz/run.sh 600, fuzz/run.sh 600 packet value
#
# Works on a stable toolchain. With SANITIZER=address it also finds wrong uses of memory, at a third of the speed. What is found is written to
# fuzz/artifacts/<target>: commit it with the fix, and `cargo test` repeats it for ever. New inputs stay in
# fuzz/target/corpus; `MINIMISE=1 fuzz/run.sh` renews fuzz/corpus from them.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
declare -A seeds=(
  [notification]=json [attachment]=msgpack [value]=values [channel]=channel [cluster]=cluster [packet]=values
  [node_json]=json [node_msgpack]=msgpack
)
targets=("$@")
if [ ${#targets[@]} = 0 ]; then targets=(notification attachment value channel cluster packet node_json node_msgpack); fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
sanitizer=${SANITIZER:-none}
# a stable compiler has the sanitizers, and wants to be told that this is meant
if [ "$sanitizer" != none ]; then
  export RUSTC_BOOTSTRAP=1 CARGO_CACHE_RUSTC_INFO=0 CARGO_TARGET_DIR="$CARGO_TARGET_DIR/$sanitizer"
fi

if ! cargo fuzz --version >/dev/null 2>&1; then cargo install cargo-fuzz --locked; fi
if [ ! -e ../tests/node/node_modules/.package-lock.json ]; then (cd ../tests/node && npm ci --no-audit --no-fund); fi

options=(--sanitizer "$sanitizer")
for target in "${targets[@]}"; do
  found=$PWD/target/corpus/$target
  mkdir -p "$found" "corpus/$target"
  echo "=== $target, $seconds s"
  if [ "$seconds" != 0 ]; then
    cargo fuzz run "${options[@]}" "$target" "$found" "corpus/$target" "seeds/${seeds[$target]}" -- \
      -dict=dictionary -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -max_total_time="$seconds" 2>&1 |
      { grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)' || true; }
  fi
  if [ -n "${MINIMISE:-}" ]; then ./minimise.sh "$target" "$found" "seeds/${seeds[$target]}"; fi
done
