#!/bin/bash
# Runs every test; installs what is missing and builds first. The last line is 'N passed, N failed'.
#
#   tests/run.sh                all of it
#   tests/run.sh --quick        the build, the unit tests and the scripts for the sqlite3 shell
#   tests/run.sh --long         the same with many more rounds of the tests that crash processes, and many more seeds of
#                               the simulation, and with planted faults (tests/mutation): an hour and a half on two cores
#   tests/run.sh --only NAME    one step (may be given again): see the list at the end of this file
#
# One line per step; what a step printed is in build/test-logs/NAME.log, and is shown if the step fails.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib/setup.sh"

only=()
length=normal
while [ $# -gt 0 ]; do
  case $1 in
    --quick) length=quick ;;
    --long) length=long ;;
    --only) only+=("${2:?--only needs a name}") && shift ;;
    *) fail "unknown option $1: --quick, --long or --only NAME" ;;
  esac
  shift
done

LOGS=$ROOT/build/test-logs
passed=0
failed=0

# wanted NAME KIND: is this step to be run? KIND: the shortest run that it belongs to (quick, full or long).
wanted() {
  if [ ${#only[@]} -gt 0 ]; then
    [[ " ${only[*]} " == *" $1 "* ]]
  else
    case $length in
      quick) [ "$2" = quick ] ;;
      normal) [ "$2" != long ] ;;
      long) true ;;
    esac
  fi
}

# step NAME QUICK TITLE COMMAND...: runs the command in the root folder. It counts as one test, or as the
# numbers of its own last line 'N passed, N failed'.
step() {
  local name=$1 quick=$2 title=$3 log=$LOGS/$1.log start=$SECONDS code good=1 bad=0 result=ok
  shift 3
  wanted "$name" "$quick" || return 0
  steps_run+=("$name")
  printf '%-8s %-64s ' "$name" "$title"
  (cd "$ROOT" && "$@") >"$log" 2>&1 </dev/null
  code=$?
  if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
  fi
  if [ $code -ne 0 ]; then
    result=FAILED
    [ "$bad" -gt 0 ] || { bad=1 && [ "$good" -gt 1 ] || good=0; }
  fi
  [[ $(head -n 1 "$log") != "not checked"* ]] || { good=0 && result=skipped; }
  passed=$((passed + good)) failed=$((failed + bad))
  printf '%-7s %4d s\n' "$result" $((SECONDS - start))
  [ $code -eq 0 ] || sed 's/^/    /' "$log" | tail -n 200
}

sources() {
  find codec raft vfs extension tests -name '*.h' -o -name '*.cc' | sort
}

check_format() {
  local version
  version=$(clang-format --version | grep -o 'version [0-9]*')
  if [ "$version" != "version 14" ]; then
    echo "not checked: clang-format here is ${version:-unknown}; the sources follow 14, which formats differently"
    return
  fi
  sources | xargs clang-format --dry-run -Werror
}

check_style() {
  local files
  configure build-tidy -DCMAKE_UNITY_BUILD=OFF  # for the command of each file; nothing is built there
  files=$(sources | grep '\.cc$' | grep -v '^tests/')
  # Two at a time per processor: each file is analysed alone.
  echo "$files" | xargs -n 2 -P "$(nproc)" clang-tidy --quiet -p build-tidy
}

build_with() {
  local directory=$1 targets=() argument
  shift
  configure "$directory" "$@" && build "$directory"
}

# unit_tests DIRECTORY [ctest argument...]: the programs by ctest, their cases counted.
unit_tests() {
  local directory=$1 output code
  shift
  output=$(ctest --test-dir "$directory" --verbose --no-tests=error --timeout 900 -j "$(nproc)" "$@")
  code=$?
  echo "$output"
  # CppUTest ends with 'OK (12 tests, ...)' or 'Errors (3 failures, 12 tests, ...)'; a program that died with neither.
  echo "$output" | awk -v died="$code" '
    match($0, /OK \([0-9]+ tests/) { split(substr($0, RSTART + 4), part, " "); good += part[1]; next }
    match($0, /Errors \([0-9]+ failures, [0-9]+ tests/) {
      split(substr($0, RSTART + 8), part, " "); bad += part[1]; good += part[3] - part[1]
    }
    END { if (died && !bad) bad = 1; printf "%d passed, %d failed\n", good, bad }'
  return $code
}

# Sanitizers do not need all that -O2 and full debug information cost; stacks keep their lines.
SANITIZER_FLAGS=(-DCMAKE_BUILD_TYPE=Sanitizer "-DCMAKE_CXX_FLAGS_SANITIZER=-O1 -g1")

address_tests() {
  build_with build-address -DDQLITE_SANITIZE=address "${SANITIZER_FLAGS[@]}" &&
    DQLITE_SEEDS=$sanitized_seeds unit_tests build-address
}

# With clang, so that one build checks two things: -Wthread-safety and clang's other warnings on every target.
thread_tests() {
  build_with build-thread -DDQLITE_SANITIZE=thread -DCMAKE_CXX_COMPILER=clang++ "${SANITIZER_FLAGS[@]}" &&
    DQLITE_SEEDS=$sanitized_seeds TSAN_OPTIONS=halt_on_error=1 unit_tests build-thread -R '^(vfs|raft)$'
}

example() {
  examples/cluster.sh && examples/cluster.sh
}

mkdir -p "$LOGS"
start=$SECONDS
steps_run=()
install_missing "${BUILD_PACKAGES[@]}"
wanted format full || wanted thread full || wanted tidy full && install_missing "${CHECK_PACKAGES[@]}"

# Rounds of the tests that kill processes; seeds of the simulation, which a sanitizer makes twenty times slower.
rounds=20 sanitized_seeds=400
sim_seeds=4000
export DQLITE_SEEDS=2000
[ "$length" = long ] && rounds=200 sanitized_seeds=5000 DQLITE_SEEDS=100000 sim_seeds=30000

step build   quick "build with gcc, warnings are errors"                       build_with build
step unit    quick "unit tests"                                                unit_tests build
step names   quick "every test that SCENARIOS.md names exists"                 tests/lib/scenarios.py
step sql     quick "scripts for the sqlite3 shell"                             sql-tests/run.py
step sim     full  "whole nodes in virtual time, $sim_seeds seeds"              tests/sim/run --seeds $sim_seeds
step format  full  "clang-format"                                              check_format
step example full  "examples/cluster.sh, twice in a row"                       example
step process full  "real processes: kill -9, fork, hand-over, the library"      tests/process/run.py --rounds $rounds
step address full  "unit tests under the address and undefined sanitizers"     address_tests
step thread  full  "build with clang -Wthread-safety; vfs and raft under its sanitizer" thread_tests
step tidy    full  "clang-tidy"                                                check_style
step mutation long "faults planted in Raft's sources are noticed by a test"    tests/mutation/run

[ ${#steps_run[@]} -gt 0 ] || fail "no step is called ${only[*]}"
echo "in $((SECONDS - start)) s"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
