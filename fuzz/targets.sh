# The targets, for run.sh and minimise.sh: the seeds of each, as src/lib.rs has them, and whose
# corpus the targets that ask Node.js share.

declare -A seeds=(
  [notification]=json [attachment]=msgpack [value]=values [channel]=channel [cluster]=cluster [packet]=values
  [node_json]=json [node_msgpack]=msgpack
)

# How many inputs a slow machine takes in a second.
declare -A a_second=(
  [notification]=15000 [attachment]=4000 [value]=8000 [channel]=40000 [cluster]=300 [packet]=1500
  [node_json]=3000 [node_msgpack]=700
)

declare -A corpus=([node_json]=notification [node_msgpack]=attachment)

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# Where new inputs of libFuzzer are kept, outside the repository.
found=$CARGO_TARGET_DIR/corpus

# Passes on libFuzzer's output, except for the line of each new input.
quietly() {
  grep --line-buffered -vE '^#[0-9]+\s+(NEW|REDUCE|RELOAD|pulse)\s|^\s+NEW_FUNC|# Uses:|^WARNING: Failed to find function'
}
