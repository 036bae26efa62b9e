#!/bin/bash
# Measures how long three nodes are without a leader after one is killed, and after one has ended in order. Builds
# first. See README.md here.
#
#   tests/bench/failover.sh [--rounds 50] [--pauses 30 --pause-ms 100] [--directory DIR]
set -eu
source "$(dirname "${BASH_SOURCE[0]}")/../lib/setup.sh"
install_missing "${BUILD_PACKAGES[@]}"
build build dqlite measure
exec "$PYTHON" "$ROOT/tests/bench/failover.py" "$@"
