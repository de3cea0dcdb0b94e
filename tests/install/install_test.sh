#!/usr/bin/env bash
# Installs a build into a temporary prefix, and builds and runs a project that uses it from there.
#   tests/install/install_test.sh BUILD_DIR
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)

dir=$(mktemp -d "${TMPDIR:-/tmp}/kiln-install.XXXXXX")
finish() {
  "$dir/prefix/bin/kiln" stop --force > "$dir/log" 2>&1 || true
  rm -rf "$dir"
}
trap finish EXIT
# Nothing of the build, nor of a head that runs: only what is installed, under another name than
# it was installed to.
unset "${!KILN_@}"
export XDG_RUNTIME_DIR=$dir/run
mkdir -m 0700 "$XDG_RUNTIME_DIR"

expect() {  # expect TEXT COMMAND...: the command succeeds and prints TEXT
  local expected=$1 got
  shift
  got=$("$@")
  if [[ "$got" != "$expected" ]]; then
    printf 'install_test: %s\nprinted:  %s\nexpected: %s\n' "$*" "$got" "$expected" >&2
    exit 1
  fi
}

cmake --install "$build" --prefix "$dir/installed" > "$dir/log"
mv "$dir/installed" "$dir/prefix"

flags=$(sed -n 's/^KILN_SANITIZE:[A-Z]*=//p' "$build/CMakeCache.txt")
cmake -S "$here/consumer" -B "$dir/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$dir/prefix" \
  -DCMAKE_CXX_FLAGS="${flags:+-fsanitize=$flags}" >> "$dir/log"
cmake --build "$dir/consumer" >> "$dir/log"

expect "6
100000" "$dir/consumer/consumer"
expect "kiln $(sed -n 's/^CMAKE_PROJECT_VERSION:[A-Z]*=//p' "$build/CMakeCache.txt")" \
  "$dir/prefix/bin/kiln" --version
"$dir/prefix/bin/kiln" start --head --num-cpus 1 > "$dir/log"
expect "one line" "$dir/prefix/bin/kiln" submit -- echo one line
"$dir/prefix/bin/kiln" stop > "$dir/log"
