#!/usr/bin/env bash
# Fuzzes each target for this many seconds, one after the other:
# fuzz/run.sh 600, fuzz/run.sh 600 packet value
#
# Works on a stable toolchain. An input that makes a property fail is written to
# fuzz/artifacts/<target> and reported: commit it with the fix, and `cargo test` repeats it from
# then on. Inputs that reach new code are kept in the target directory, and the next run continues
# from them.
#
# FUZZ_SEED=1: the same inputs in every run, as many as a slow machine takes in that time; it
# neither uses nor keeps what other runs have found. As the clock does not end a target then, as many
# run at the same time as there are processors.
# SANITIZER=address: also finds wrong uses of memory, at a fraction of the speed.
set -euo pipefail
cd "$(dirname "$0")"
. ./targets.sh

seconds=${1:-60}
shift || true
sanitizer=${SANITIZER:-none}
if [ "$sanitizer" != none ]; then
  # A stable compiler has the sanitizers, but asks to confirm that this is meant.
  export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$CARGO_TARGET_DIR/$sanitizer
fi
limit=(-max_total_time="$seconds")
if [ -n "${FUZZ_SEED:-}" ]; then
  found=$(mktemp -d)
  trap 'rm -rf "$found"' EXIT
fi

# It only starts others, so it need not be optimised.
if ! cargo fuzz --version >/dev/null 2>&1; then CARGO_PROFILE_DEV_DEBUG=false cargo install --debug cargo-fuzz --locked; fi
if [ ! -e ../tests/node/node_modules/.package-lock.json ]; then (cd ../tests/node && npm ci --no-audit --no-fund); fi

# One target, with its corpus and its seeds.
fuzz() {
  local target=$1
  echo "=== $target, $seconds s"
  mkdir -p "$found/$target"
  # Not by the clock: a faster machine would go further, and find failures that the change did not
  # cause.
  if [ -n "${FUZZ_SEED:-}" ]; then limit=(-runs=$((seconds * ${a_second[$target]}))); fi
  # A busy machine may stop for seconds: only an input that takes a minute counts as endless.
  cargo fuzz run --sanitizer "$sanitizer" "$target" \
    "$found/$target" "corpus/${corpus[$target]:-$target}" "seeds/${seeds[$target]}" -- \
    -dict=dictionary -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 "${limit[@]}" \
    -seed="${FUZZ_SEED:-0}" 2>&1 | quietly
}

# With its output in one piece.
fuzz_beside_others() {
  local status=0
  fuzz "$1" >"$found/$1.log" 2>&1 || status=$?
  cat "$found/$1.log"
  return "$status"
}

if [ $# = 0 ]; then
  set -- notification attachment value channel cluster packet node_json node_msgpack
  cargo fuzz build --sanitizer "$sanitizer"
fi
if [ -z "${FUZZ_SEED:-}" ]; then
  for target in "$@"; do fuzz "$target"; done
  exit
fi
running=0 failed=0
one_ends() {
  wait -n || failed=1
  running=$((running - 1))
}
for target in "$@"; do
  if [ "$running" -ge "$(nproc)" ]; then one_ends; fi
  fuzz_beside_others "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do one_ends; done
exit "$failed"
