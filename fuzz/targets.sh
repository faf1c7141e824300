# The targets and the seeds of each, for run.sh and minimise.sh: the table in src/lib.rs, and those that ask Node.

declare -A seeds=(
  [notification]=json [attachment]=msgpack [value]=values [channel]=channel [cluster]=cluster [packet]=values
  [node_json]=json [node_msgpack]=msgpack
)

# Those that are named, or all.
targets() {
  if [ $# = 0 ]; then set -- notification attachment value channel cluster packet node_json node_msgpack; fi
  echo "$@"
}

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# Where what libFuzzer finds new is kept, outside the repository.
found=$CARGO_TARGET_DIR/corpus
