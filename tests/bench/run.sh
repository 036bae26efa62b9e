#!/bin/bash
# Measures commits, reads, restart and memory beside stock SQLite in the same run. Builds first. See README.md here.
#
#   tests/bench/run.sh [--rounds N] [--rows N] [--megabytes N]
set -eu
source "$(dirname "${BASH_SOURCE[0]}")/../lib/setup.sh"
install_missing "${BUILD_PACKAGES[@]}"
build build dqlite measure
exec "$PYTHON" "$ROOT/tests/bench/run.py" "$@"
