#!/usr/bin/env bash
# Builds a fuzz target and runs it on the committed corpus and on what libFuzzer makes of it.
#
#   tests/fuzz/fuzz_test.sh ring -runs=20000            as the test suite does
#   tests/fuzz/fuzz_test.sh session -max_total_time=600  for longer
#
# New inputs go to a temporary directory. What breaks the target is printed in base64.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$1
shift
if ! command -v clang++-14 > /dev/null; then
  echo "skipped: clang++-14 is missing; scripts/install-deps.sh --tests installs it"
  exit 77
fi
unset XDG_RUNTIME_DIR  # the compiler cache would leave a directory there
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/corpus"
if ! { cmake --preset fuzz && cmake --build --preset fuzz --target "${target}_fuzz"; } > "$dir/build.log"; then
  tail -n 40 "$dir/build.log"
  exit 1
fi
build/fuzz/tests/fuzz/"${target}_fuzz" -print_final_stats=1 -verbosity=0 -timeout=20 \
  -artifact_prefix="$dir/" "$@" "$dir/corpus" "tests/fuzz/corpus/$target" 2>&1 | tail -n 100
