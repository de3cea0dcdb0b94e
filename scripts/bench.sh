#!/usr/bin/env bash
# Measures kiln on this machine: runs the microbenchmark of the release build several times and
# prints tables of the medians, with the machine described.
#
#   scripts/bench.sh [--runs N] [--quick] [--write] [--raw FILE] [--filter REGEX]
#   scripts/bench.sh --python [--rounds N] [--quick] [--write] [--json FILE] [--only REGEX]
#
#   --runs N         3 by default
#   --quick          shorter and less exact
#   --write          puts the tables into docs/benchmarks.md too, in place of the last ones, and
#                    draws docs/plots/*.svg (needs scripts/install-deps.sh --bench)
#   --raw FILE       keeps the figures of every run, one JSON object per line
#   --filter REGEX   only the benchmarks whose name matches
#   --python         the Python package instead, beside multiprocessing and joblib; --python --help
#                    has its options
#
# For figures worth keeping let nothing else run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ "${1-}" == --python ]]; then
  shift
  [[ " $* " == *" --help "* || " $* " == *" -h "* ]] || ./scripts/build.sh release >&2
  PYTHONPATH=$PWD/build/python exec /usr/bin/python3 -B scripts/bench_python.py "$@"
fi

runs=3
raw=
options=()
write=false
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    --write) write=true && shift && continue ;;
    --quick) options+=(--quick) && shift && continue ;;
    --runs | --raw | --filter) ;;
    *) echo "bench.sh: unknown option $1; see --help" >&2 && exit 2 ;;
  esac
  [[ $# -ge 2 ]] || { echo "bench.sh: $1 takes a value; see --help" >&2 && exit 2; }
  case "$1" in
    --runs) runs=$2 ;;
    --raw) raw=$2 ;;
    --filter) options+=(--filter "$2") ;;
  esac
  shift 2
done
[[ "$runs" =~ ^[1-9][0-9]*$ ]] || { echo "bench.sh: --runs takes a number from 1 on" >&2 && exit 2; }

if "$write" && ! /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  echo "bench.sh: the plots need matplotlib: scripts/install-deps.sh --bench" >&2
  exit 1
fi
./scripts/build.sh release >&2

# Nothing of a head that runs already.
unset "${!KILN_@}"
dir=$(mktemp -d /tmp/kiln-bench.XXXXXX)
trap 'rm -rf "$dir"' EXIT
export TMPDIR=$dir XDG_RUNTIME_DIR=$dir

for ((run = 1; run <= runs; ++run)); do
  echo "run $run of $runs" >&2
  build/bin/kiln microbenchmark --json "${options[@]}" >> "$dir/figures"
done
[[ -z "$raw" ]] || cp "$dir/figures" "$raw"
growth=()
if [[ -x build/bin/core_growth ]]; then
  echo "cost as it grows" >&2
  build/bin/core_growth > "$dir/growth"
  growth=(--growth "$dir/growth")
fi
if "$write"; then
  /usr/bin/python3 -B scripts/bench_plots.py "${growth[@]}" "$dir/figures" docs/plots >&2
  /usr/bin/python3 -B scripts/bench_table.py --write docs/benchmarks.md "$dir/figures"
else
  /usr/bin/python3 -B scripts/bench_table.py "$dir/figures"
fi
