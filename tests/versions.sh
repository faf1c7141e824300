#!/usr/bin/env bash
# The suites that depend on PostgreSQL, on every supported version.
#
#   tests/versions.sh                 14 to 18, and the one in PG_BIN if it is another
#   tests/versions.sh 14 17           only these; a directory with initdb and postgres also counts
#   tests/versions.sh --short 14      only the contract of both backends, the catch-up log
#                                     and one mixed cluster
#   tests/versions.sh --short turn    one of 14 to 18 that is not installed, by the commit
#
# Versions 14 to 18 are npm's prebuilt binaries, fetched once into target/. npm does not have 19:
# PG_BIN=/path/to/19/bin tests/versions.sh 14 15 16 17 18 "$PG_BIN"
#
# The output of each suite goes to target/versions/; the summary comes last.
set -uo pipefail
cd "$(dirname "$0")/.."

versions=(14 15 16 17 18)

# The major version of the binaries in a directory.
major() { "$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p'; }

installed() {
  local found
  for found in "$(dirname "$(command -v postgres || echo /nowhere/postgres)")" /usr/lib/postgresql/*/bin; do
    if [ -x "$found/postgres" ]; then major "$found"; fi
  done
}

# The same version for the same commit, so that a failure repeats. A clone without history uses the
# day.
turn() {
  local others=() version here
  here=" $(installed | tr '\n' ' ') "
  for version in "${versions[@]}"; do
    if [[ $here != *" $version "* ]]; then others+=("$version"); fi
  done
  local count
  count=$(git rev-list --count HEAD 2>/dev/null || echo 1)
  if [ "$count" -le 1 ]; then count=$(($(date +%s) / 86400)); fi
  echo "${others[$((count % ${#others[@]}))]}"
}

short=
chosen=()
for argument in "$@"; do
  case $argument in
    --short) short=1 ;;
    turn) chosen+=("$(turn)") ;;
    *) chosen+=("$argument") ;;
  esac
done
if [ ${#chosen[@]} -eq 0 ]; then
  chosen=("${versions[@]}")
  if [ -n "${PG_BIN:-}" ] && [[ $PG_BIN != npm* ]]; then chosen+=("$PG_BIN"); fi
fi

# The contract of the backends is a suite of both.
suites=(backend catch_up sql_functions outbox)
if [ -n "$short" ]; then
  suites+=("conformance RDN")
else
  suites+=(postgres_rules conformance faults)
fi

mkdir -p target/versions
# With DATABASE_URL, the suites would use that server instead of these versions.
unset DATABASE_URL
# With CI set, a missing tool fails: a suite that skips itself has tested nothing.
export CI=true
failures=0
summary=
for version in "${chosen[@]}"; do
  case $version in
    */*) name=$(major "$version")-given binaries=$version ;;
    *) name=$version binaries=npm:$version ;;
  esac
  for suite in "${suites[@]}"; do
    read -r test words <<<"$suite"
    log=target/versions/$name-$test.log
    begin=$SECONDS
    # Of the whole workspace: with the features of one package, all would be compiled again.
    # shellcheck disable=SC2086 # words are many
    if PG_BIN=$binaries cargo test --locked --workspace --no-fail-fast --test "$test" -- $words >"$log" 2>&1; then
      outcome=passed
    else
      outcome="FAILED: $log"
      failures=$((failures + 1))
      echo "--- $log" >&2
      grep -E '^✗|FAILED|panicked|error' "$log" | head -40 >&2
      tail -5 "$log" >&2
    fi
    line=$(printf '%-8s %-20s %5d s  %s' "$name" "$suite" $((SECONDS - begin)) "$outcome")
    echo "$line"
    summary+=$line$'\n'
  done
done
echo
printf '%s' "$summary"
exit $((failures > 0))
