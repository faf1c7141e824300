#!/usr/bin/env bash
# Renews fuzz/corpus/<target> from what fuzz/run.sh has found: as few and as short inputs as reach the code that the seeds do not reach.
#
# fuzz/minimise.sh, fuzz/minimise.sh packet value
set -euo pipefail
cd "$(dirname "$0")"
. ./targets.sh

for target in $(targets "$@"); do
  corpus=corpus/$target
  merged=$(mktemp -d)
  cp "seeds/${seeds[$target]}"/* "$merged"
  mkdir -p "$corpus" "$found/$target"
  # which code is reached, not how often: that makes the corpus ten times smaller
  cargo fuzz run --sanitizer none "$target" "$merged" "$corpus" "$found/$target" -- -set_cover_merge=1 -use_counters=0 -max_len=1024
  rm -rf "$corpus"
  mkdir -p "$corpus"
  for input in "$merged"/*; do
    if [ ! -e "seeds/${seeds[$target]}/$(basename "$input")" ]; then cp "$input" "$corpus"; fi
  done
  rm -rf "$merged"
  echo "$target: $(find "$corpus" -type f | wc -l) inputs"
done
