#!/usr/bin/env bash
# Every example on one head, with less work than usual: each compares its result with that of the
# same computation without tasks.
#   KILN_BIN_DIR=build/bin tests/cluster/examples_test.sh
set -euo pipefail
examples=$(cd "$(dirname "$0")/../../client/cpp/examples" && pwd)
bin=$(cd "$KILN_BIN_DIR" && pwd)

sanitized=${KILN_TEST_SANITIZED-}
dir=$(mktemp -d "${TMPDIR:-/tmp}/kiln-examples.XXXXXX")
unset "${!KILN_@}"
export KILN_SESSION_DIR=$dir/head
finish() {
  "$bin/kiln" stop --force > /dev/null 2>&1 || true
  rm -rf "$dir"
}
trap finish EXIT

"$bin/kiln" start --head --num-cpus 2 --object-store-memory 256MiB > "$dir/start"

failed=0
expect() {  # expect PATTERN COMMAND...: exit code 0, and the last line of output matches
  local pattern=$1
  shift
  if "$@" > "$dir/out" 2> "$dir/err" && tail -n 1 "$dir/out" | grep -qE "$pattern"; then
    printf 'ok      %s\n' "$(tail -n 1 "$dir/out")"
  else
    printf 'FAILED  %s\n' "$*"
    cat "$dir/out" "$dir/err"
    failed=1
  fi
}

for name in cpu_bound kv_store matmul tree wait_loop word_count; do
  expect "^RESULT $name ok serial_ms=[0-9.]+ kiln_ms=[0-9.]+ speedup=[0-9.]+$" \
    "$bin/example_$name" --small
done
expect '^6$' "$bin/example_quickstart"
if [[ -z "$sanitized" ]]; then  # Python is built without
  expect '^100, 0.97725$' "$bin/example_python_actor"
fi
# Bytes that are no UTF-8, in what the head is told of the program and of the job.
expect '^6$' env "X=$(printf '\377')" "$bin/example_quickstart"
expect '^hello$' env "X=$(printf '\377')" "$bin/kiln" submit -- echo hello
expect '^RESULT shell_pipeline ok words=[1-9][0-9]*$' \
  "$bin/kiln" submit -- "$examples/shell_pipeline.sh"
exit "$failed"
