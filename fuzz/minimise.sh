#!/usr/bin/env bash
# Renews fuzz/corpus/<target> from what fuzz/run.sh has found: for each target at most 64 inputs of
# at most 256 bytes, which reach the most code that the seeds do not reach. Code that takes more
# inputs is left to the next long run: everything that was found stays in the target directory.
# Targets that ask Node.js share the corpora of those that do not.
#
# fuzz/minimise.sh, fuzz/minimise.sh packet value
set -euo pipefail
cd "$(dirname "$0")"
. ./targets.sh

inputs=64
bytes=256

if [ $# = 0 ]; then set -- notification attachment value channel cluster packet; fi
for target in "$@"; do
  folder=corpus/$target
  seeds=seeds/${seeds[$target]}
  mkdir -p "$folder" "$found/$target"
  found_by=("$found/$target")
  for other in "${!corpus[@]}"; do
    if [ "${corpus[$other]}" = "$target" ] && [ -d "$found/$other" ]; then found_by+=("$found/$other"); fi
  done
  work=$(mktemp -d)
  mkdir "$work/merged" "$work/folder"
  # Which code is reached, not how often, nor by which numbers: otherwise the corpus grows without
  # end.
  cargo fuzz run --sanitizer none "$target" "$work/merged" "$seeds" "$folder" "${found_by[@]}" -- \
    -set_cover_merge=1 -merge_control_file="$work/control" -use_counters=0 -use_cmp=0 -max_len=$bytes -verbosity=0
  node fewest.mjs "$work/control" "$seeds" "$work/folder" $inputs $bytes
  rm -rf "$folder"
  mv "$work/folder" "$folder"
  rm -rf "$work"
done
du -bc corpus/* | tail -1
