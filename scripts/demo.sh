#!/usr/bin/env bash
# Shows kiln at work, from a fresh Debian 12 on: installs what is missing, builds, starts a head of
# its own, runs the examples in C++ and some in Python against the same computation without kiln, and
# stops the head.
#
#   scripts/demo.sh            about ten minutes, most of them for the first build
#   scripts/demo.sh --small    with little work in each example: no figures worth reading
set -euo pipefail
cd "$(dirname "$0")/.."

size=()
case "${1-}" in
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  --small) size=(--small) ;;
  "") ;;
  *) echo "demo.sh: unknown option $1; see --help" >&2 && exit 2 ;;
esac

./scripts/build.sh release
kiln=build/bin/kiln

# A head of the demo's own: another that runs is not disturbed.
unset "${!KILN_@}"
dir=$(mktemp -d /tmp/kiln-demo.XXXXXX)
export KILN_SESSION_DIR=$dir/head
finish() {
  "$kiln" stop --grace 0 > "$dir/stop" 2>&1 || "$kiln" stop --force > "$dir/stop" 2>&1 || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

show() {  # show COMMAND...: as a reader would type it
  printf '\n$%s\n' "$(printf ' %s' "${@@Q}" | sed "s/'\([A-Za-z0-9_.:\/=+-]*\)'/\1/g")"
  "$@"
}

failed=0
run_example() {  # run_example NAME COMMAND...: shows its output, keeps its closing line
  local name=$1
  shift
  show "$@" 2>&1 | tee "$dir/$name.out" || failed=1
  grep '^RESULT' "$dir/$name.out" >> "$dir/results" || echo "RESULT $name FAILED" >> "$dir/results"
}

show "$kiln" start --head
show "$kiln" run build/lib/libkiln_examples.so:Add 1 2

for name in cpu_bound matmul tree wait_loop; do
  run_example "$name" "build/bin/example_$name" "${size[@]}"
done
# Real text, enough of it to take a second: the headers that came with the compiler.
run_example word_count build/bin/example_word_count "${size[@]}" \
  /usr/share/common-licenses /usr/include/c++
show "$kiln" submit -- client/cpp/examples/shell_pipeline.sh || failed=1
export PYTHONPATH=$PWD/build/python
show "$kiln" run statistics:mean '[1, 2, 6]' || failed=1
show /usr/bin/python3 -m kiln.examples "${size[@]}" pool_map progress_bar matrix_products || failed=1
show "$kiln" status

printf '\n%-12s %-6s %12s %12s %10s\n' example result 'serial ms' 'kiln ms' speed-up
while read -r _ name result figures; do
  [[ "$result" == ok ]] || failed=1
  read -r serial_ms kiln_ms speedup <<< "$(sed 's/[a-z_]*=//g' <<< "$figures")"
  printf '%-12s %-6s %12s %12s %10s\n' "$name" "$result" "${serial_ms:--}" "${kiln_ms:--}" "${speedup:--}"
done < "$dir/results"
echo "on $(nproc) CPUs; serial: the same functions called one after the other in one process"

show "$kiln" stop
exit "$failed"
