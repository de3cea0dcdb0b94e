#!/usr/bin/env bash
# Builds kiln.
#
#   scripts/build.sh [PRESET] [NINJA ARGUMENT...]
#
#   release   the default: build/bin, build/lib
#   dev       build/dev: -O1 -g, assertions on
#   asan      build/asan: AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan      build/tsan: ThreadSanitizer; only the tests of our own code, as gRPC is not instrumented
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
case "${1-}" in
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  release | dev | asan | tsan) preset=$1 && shift ;;
  "" | -*) ;;
  *) echo "build.sh: unknown preset $1; one of release, dev, asan, tsan" >&2 && exit 2 ;;
esac

./scripts/install-deps.sh --tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" > "$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
cmake --build --preset "$preset" -- "$@"
