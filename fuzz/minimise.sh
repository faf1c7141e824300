#!/usr/bin/env bash
# Renews fuzz/corpus/<target> from what fuzz/run.sh has found: short inputs, as few as reach the code that the seeds do not
# reach. Targets that ask Node share the corpora of those that do not.
#
# fuzz/minimise.sh, fuzz/minimise.sh packet value
set -euo pipefail
cd "$(dirname "$0")"
. ./targets.sh

if [ $# = 0 ]; then set -- notification attachment value channel cluster packet; fi
for target in "$@"; do
  folder=corpus/$target
  merged=$(mktemp -d)
  cp "seeds/${seeds[$target]}"/* "$merged"
  mkdir -p "$folder" "$found/$target"
  # which code is reached, not how often, nor by which numbers: else the corpus grows without end
  cargo fuzz run --sanitizer none "$target" "$merged" "$folder" "$found/$target" -- -set_cover_merge=1 -use_counters=0 -use_cmp=0 -max_len=256
  rm -rf "$folder"
  mkdir -p "$folder"
  for input in "$merged"/*; do
    if [ ! -e "seeds/${seeds[$target]}/$(basename "$input")" ]; then cp "$input" "$folder"; fi
  done
  rm -rf "$merged"
  echo "$target: $(find "$folder" -type f | wc -l) inputs"
done
