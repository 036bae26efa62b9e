#!/bin/bash
# Measures what one large transaction takes on three nodes: time, and the memory of each. Builds first. See README.md
# here.
#
#   tests/bench/large.sh [--mb 600] [--directory DIR]
set -eu
source "$(dirname "${BASH_SOURCE[0]}")/../lib/setup.sh"
install_missing "${BUILD_PACKAGES[@]}"
build build dqlite measure
exec "$PYTHON" "$ROOT/tests/bench/large.py" "$@"
