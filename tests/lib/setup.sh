# Sourced by tests/run.sh and examples/cluster.sh: makes a machine able to build, and builds.
#
#   source ".../tests/lib/setup.sh"
#   install_missing "${BUILD_PACKAGES[@]}"     Debian packages; says nothing when all are there
#   build build                                configures and builds into $ROOT/build
#
# Works from any directory, without a terminal, as root or with sudo. A failure prints why and ends the script.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=/usr/bin/python3  # Debian's: its sqlite3 module can load extensions

# What the extension and its unit tests are built with, and the programs of the example.
BUILD_PACKAGES=(g++ cmake ninja-build pkg-config libuv1-dev liblz4-dev libxxhash-dev libsqlite3-dev
  libcpputest-dev sqlite3 python3 unicode-data)
# What only the checks need.
CHECK_PACKAGES=(clang clang-format clang-tidy libclang-rt-dev)

fail() {
  echo "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

apt_install() {
  # Waits for another package manager at work, as on a machine that has just started.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# install_missing PACKAGE...
install_missing() {
  local package missing=() log
  command -v dpkg-query >/dev/null ||
    fail "This is not a Debian system: please install the equivalents of: $*"
  for package in "$@"; do
    if ! dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
      missing+=("$package")
    fi
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    fail "Neither root nor sudo here. Please run as root: apt-get install ${missing[*]}"
  echo "Installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  # The package lists are fetched only if the ones at hand do not do: absent, or older than the archive.
  if ! apt_install "${missing[@]}" >"$log" 2>&1; then
    echo "Fetching the package lists (apt-get update)"
    if ! { as_root apt-get update -q </dev/null && apt_install "${missing[@]}"; } >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      fail "apt-get could not install: ${missing[*]}"
    fi
  fi
  rm -f "$log"
}

# configure DIRECTORY [cmake argument...]: below $ROOT; quiet unless it fails. Eight files are compiled as one, in a
# third of the time; that each stands alone is seen by clang-tidy.
configure() {
  local directory=$ROOT/$1 output options=(-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8)
  shift
  command -v ccache >/dev/null && options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  output=$(cmake -S "$ROOT" -B "$directory" -G Ninja "${options[@]}" "$@" 2>&1) || fail "$output"
}

# build DIRECTORY [target...]: below $ROOT; quiet unless it fails.
build() {
  local directory=$ROOT/$1 output
  shift
  [ -f "$directory/build.ninja" ] || configure "${directory#"$ROOT"/}"
  output=$(cmake --build "$directory" ${1:+--target "$@"} 2>&1) || fail "$output"
}
