#!/usr/bin/env bash
# The wheel of the build in $1 installs offline, elsewhere, and works from there.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
python=/usr/bin/python3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset "${!KILN_@}" PYTHONPATH

KILN_BUILD_DIR=$1 "$source_dir/scripts/build-wheel.sh" "$dir/dist"
"$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$dir/site" "$dir"/dist/*.whl
mkdir -m 0700 "$dir/run"
cd "$dir"
cat > program.py << 'PROGRAM'
import kiln

@kiln.remote
def square(x):
    return x * x

if __name__ == "__main__":
    kiln.init(num_cpus=1)
    assert kiln.__file__.startswith(kiln._kiln.find_binary("kiln").rpartition("/bin/")[0]), kiln.__file__
    print(kiln.get([square.remote(i) for i in range(4)]))
PROGRAM
export KILN_SESSION_DIR=
export XDG_RUNTIME_DIR=$dir/run PYTHONPATH=$dir/site PYTHONDONTWRITEBYTECODE=1
[[ "$("$python" program.py)" == "[0, 1, 4, 9]" ]]

# The command comes with it, and a head of it finds the package by itself.
"$dir/site/bin/kiln" --version | grep -q '^kiln '
export KILN_SESSION_DIR=$dir/head
"$dir/site/bin/kiln" start --head --num-cpus 1 > "$dir/start"
trap '"$dir/site/bin/kiln" stop --force > "$dir/stop" 2>&1 || true; rm -rf "$dir"' EXIT
env -u PYTHONPATH "$dir/site/kiln/bin/kiln" run statistics:mean '[1, 2, 6]' | grep -qx 3
