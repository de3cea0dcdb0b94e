#!/usr/bin/env bash
# Checks the source, without running it; each part is fatal.
#
#   scripts/check.sh                 all parts
#   scripts/check.sh --quick         format, layers, proto, docs, shell: seconds, no build needed
#   scripts/check.sh PART...         format | layers | proto | docs | shell | tidy
#   scripts/check.sh --fix           formats the C++ files in place
#
# tidy runs clang-tidy (.clang-tidy: few checks, all of them bugs) over the release build's
# compile commands; `scripts/check.sh tidy PATH...` over the sources below these paths alone.
set -euo pipefail
cd "$(dirname "$0")/.."

sources() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u; }
cpp_files() { sources '*.cc' '*.h' | while read -r file; do [[ -f "$file" ]] && echo "$file"; done; }

check_format() { cpp_files | xargs clang-format --dry-run -Werror; }
check_layers() { /usr/bin/python3 -B scripts/check_layers.py; }
check_proto() { /usr/bin/python3 -B scripts/check_proto.py; }
check_docs() { /usr/bin/python3 -B scripts/check_docs.py; }
check_shell() { sources '*.sh' .ci/run | xargs shellcheck --severity=warning; }
check_tidy() {
  local paths=("$@")
  [[ ${#paths[@]} -gt 0 ]] || paths=(common daemon worker client)
  if [[ ! -f build/compile_commands.json ]]; then
    echo "check.sh: tidy needs a release build first: scripts/build.sh" >&2
    return 1
  fi
  run-clang-tidy -quiet -p build -j "$(nproc)" "${paths[@]/#/^$PWD/}" 2> /dev/null |
    sed '/^clang-tidy/d'  # the command lines
}

run() {  # run PART ARGUMENT...
  local part=$1 start=$SECONDS
  shift
  if "check_$part" "$@"; then
    printf '%-8s ok, %d s\n' "$part" $((SECONDS - start))
  else
    printf '%-8s FAILED\n' "$part" >&2
    failed=1
  fi
}

failed=0
case "${1-}" in
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  --fix) cpp_files | xargs clang-format -i && exit 0 ;;
  "") parts=(format layers proto docs shell tidy) ;;
  --quick) parts=(format layers proto docs shell) ;;
  tidy) parts=() && run "$@" ;;
  *) parts=("$@") ;;
esac
for part in "${parts[@]}"; do
  case "$part" in
    format | layers | proto | docs | shell | tidy) run "$part" ;;
    *) echo "check.sh: unknown part $part; see --help" >&2 && exit 2 ;;
  esac
done
exit "$failed"
