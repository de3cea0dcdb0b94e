#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests; fails if one fails or leaves anything behind.
#
#   scripts/test.sh                    every test, on the release build
#   scripts/test.sh --preset asan      on another build: dev, asan, tsan (see scripts/build.sh)
#   scripts/test.sh -L unit            further arguments go to ctest: -L LABEL, -R NAME, -j N, ...
#
# Labels: unit, random, fuzz, rpc, cluster. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
case "${1-}" in
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  --preset=*) preset=${1#*=} && shift ;;
  --preset)
    [[ $# -ge 2 ]] || { echo "test.sh: --preset takes a name: release, dev, asan, tsan" >&2 && exit 2; }
    preset=$2 && shift 2
    ;;
esac

./scripts/build.sh "$preset"

# All that the tests make lies in here, and every process of theirs has this path in its environment
# or on its command line: that is how what they leave behind is found.
dir=$(mktemp -d /tmp/kiln-tests.XXXXXX)
trap 'rm -rf "$dir"' EXIT
mkdir -m 0700 "$dir/run"
mkdir -m 0711 "$dir/tmp"
chmod 0711 "$dir"  # as /tmp: a test that plays another user must get as far as the socket

# The pids of living processes of this run. The pattern comes from a file, not to find grep itself.
processes() {
  printf '%s' "$dir" > "$dir/pattern"
  local files=(/proc/[0-9]*/environ /proc/[0-9]*/cmdline)
  { grep -lsaF -f "$dir/pattern" "${files[@]}" || true; } | cut -d/ -f3 | sort -nu
}

leftovers() {
  local pid
  for pid in $(processes); do
    echo "process $pid: $(tr '\0' ' ' 2> /dev/null < "/proc/$pid/cmdline")"
  done
  # The folder in which heads of programs live stays, as on every machine; nothing may be in it.
  find "$dir/tmp" "$dir/run" -mindepth 1 ! -path "$dir/run/kiln" -printf '%y %p\n'
  comm -13 "$dir/before" <(elsewhere)
}

# Where a program puts things that does not heed TMPDIR and XDG_RUNTIME_DIR.
elsewhere() { ls -d "/tmp/kiln-$(id -u)" /dev/shm/*kiln* 2> /dev/null || true; }
elsewhere > "$dir/before"

sanitizers=(
  ASAN_OPTIONS="detect_stack_use_after_return=1:${ASAN_OPTIONS-}"
  UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS-}"
  TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS-}")

failed=0
env TMPDIR="$dir/tmp" XDG_RUNTIME_DIR="$dir/run" "${sanitizers[@]}" \
  ctest --preset "$preset" --no-tests=error --timeout 300 "$@" < /dev/null || failed=$?

# A process that was told to end may need a moment.
for _ in {1..20}; do
  [[ -z "$(leftovers)" ]] && break
  sleep 0.1
done
left=$(leftovers)
if [[ -n "$left" ]]; then
  printf 'The tests left behind:\n%s\n' "$left" >&2
  for pid in $(processes); do kill -KILL "$pid" 2> /dev/null || true; done
  failed=1
fi
exit "$failed"
