#!/usr/bin/env bash
# Installs the Debian packages that kiln needs; the only place where they are named.
#
#   scripts/install-deps.sh            all: build, tests, checks
#   scripts/install-deps.sh --tests    build and tests
#   scripts/install-deps.sh --build    build only
#   scripts/install-deps.sh --bench    build, and the plots of scripts/bench.sh --write
#   scripts/install-deps.sh --list     prints the packages of the chosen set, installs nothing
#
# Does nothing, and needs no root, when all are there.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc  # the wire
  libboost-dev                                                            # the object store
  libmsgpack-cxx-dev nlohmann-json3-dev                                   # values
  libspdlog-dev libfmt-dev libcli11-dev                                   # logs, options
  python3 python3-dev pybind11-dev python3-cloudpickle python3-numpy)     # the Python package
test_packages=(
  catch2 python3 python3-grpcio python3-protobuf  # any gRPC client: tests/rpc
  clang-14 libclang-rt-14-dev                     # libFuzzer: tests/fuzz
  # What the Python package works with, and its examples: tests/python
  python3-pandas python3-joblib python3-tqdm python3-numba python3-networkx
  jupyter-nbconvert python3-nbclient python3-ipykernel
  mypy python3-pip python3-wheel)                 # types, the wheel
bench_packages=(python3-matplotlib python3-joblib)  # docs/plots; what Python is measured beside
check_packages=(clang-format clang-tidy shellcheck git)

packages=("${build_packages[@]}" "${test_packages[@]}" "${check_packages[@]}")
list=false
for argument in "$@"; do
  case "$argument" in
    --build) packages=("${build_packages[@]}") ;;
    --tests) packages=("${build_packages[@]}" "${test_packages[@]}") ;;
    --bench) packages=("${build_packages[@]}" "${bench_packages[@]}") ;;
    --list) list=true ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) echo "install-deps.sh: unknown option $argument; see --help" >&2 && exit 2 ;;
  esac
done

if "$list"; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

if ! command -v apt-get > /dev/null; then
  echo "install-deps.sh: this is not Debian; install the equivalents of: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null || true)
  [[ "$state" == installed* ]] || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi

as_root=()
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo > /dev/null; then
    echo "install-deps.sh: these packages are missing, and to install them takes root or sudo:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

install_missing() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "${missing[@]}"
}

echo "installing: ${missing[*]}"
# The lists of packages may be absent or old: then update and try once more.
if [[ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2> /dev/null)" ]] ||
  ! install_missing; then
  "${as_root[@]}" apt-get update
  install_missing
fi
