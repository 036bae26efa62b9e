#!/bin/bash
# A replicated SQLite on this machine, in one command: three sqlite3 shells, real input, and the leader killed.
#
#   examples/cluster.sh           installs what is missing, builds, runs all of it, leaves nothing behind
#   examples/cluster.sh --keep    the same, but leaves the cluster up in tmux and says how to attach to it
set -eu
source "$(dirname "${BASH_SOURCE[0]}")/../tests/lib/setup.sh"

packages=("${BUILD_PACKAGES[@]}")
case ${1:-} in
  '') ;;
  --keep) packages+=(tmux) ;;
  *) fail "unknown option $1: only --keep is known" ;;
esac
install_missing "${packages[@]}"
build build dqlite
exec "$PYTHON" "$ROOT/examples/demonstration.py" "$@"
