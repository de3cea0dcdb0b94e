#!/usr/bin/env bash
# Builds the Python package as a wheel, without any network: dist/kiln-VERSION-cpXY-cpXY-linux_ARCH.whl
#
#   scripts/build-wheel.sh [DIR]     into DIR instead of dist
#
# The wheel holds everything of kiln's: the package, libkiln, the head, the worker and the command.
# It needs cloudpickle, and the shared libraries of Debian 12 that scripts/install-deps.sh names.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)

case "${1-}" in
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  -*) echo "build-wheel.sh: unknown option $1; see --help" >&2 && exit 2 ;;
esac
out=$(realpath -m "${1-$source_dir/dist}")
build=${KILN_BUILD_DIR-$source_dir/build}
python=${KILN_PYTHON-/usr/bin/python3}

# Tests name a build that is there.
if [[ -z "${KILN_BUILD_DIR-}" ]]; then "$source_dir/scripts/build.sh" release; fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cmake --install "$build" --prefix "$stage/installed" --strip > "$stage/log"

version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[A-Z]*=//p' "$build/CMakeCache.txt")
tag=$("$python" -c 'import sys, sysconfig
short = f"cp{sys.version_info[0]}{sys.version_info[1]}"
print(f"{short}-{short}-" + sysconfig.get_platform().replace("-", "_").replace(".", "_"))')
tree=$stage/tree
info=$tree/kiln-$version.dist-info
mkdir -p "$tree" "$info" "$out"
cp -r "$stage"/installed/lib/python3/dist-packages/kiln "$tree/kiln"
mkdir -p "$tree/kiln/lib" "$tree/kiln/bin"
# A wheel has no symbolic links: the name that programs look for is the file.
cp -L "$stage"/installed/lib/libkiln.so.0 "$stage"/installed/lib/libkiln_grpc.so.0 "$tree/kiln/lib/"
cp "$stage"/installed/bin/{kiln,kiln-head,kiln-worker} "$tree/kiln/bin/"
find "$tree" -name __pycache__ -prune -exec rm -rf {} +

cat > "$info/METADATA" << METADATA
Metadata-Version: 2.1
Name: kiln
Version: $version
Summary: Tasks and objects on all cores of one machine: Ray's programming model at a fraction of its cost
License: Apache-2.0
Requires-Python: >=3.9
Requires-Dist: cloudpickle>=2.0
METADATA
cat > "$info/WHEEL" << WHEEL
Wheel-Version: 1.0
Generator: kiln ($version)
Root-Is-Purelib: false
Tag: $tag
WHEEL
cat > "$info/entry_points.txt" << ENTRY
[console_scripts]
kiln = kiln._command:main
ENTRY
cp "$source_dir/LICENSE" "$info/LICENSE"
"$python" -m wheel pack "$tree" --dest-dir "$out"
