#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All tests: the release build (with CUDA where its toolkit is) and its tests, then the unit tests under ASan and UBSan. Called by `./yard test`.
set -euo pipefail
cd "$(dirname "$0")/.."

JOBS=${JOBS:-$(nproc)}
export CTEST_OUTPUT_ON_FAILURE=1
# Paths are hashed relative to the checkout, so that every clone on a machine shares the cache.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
passed=0 failed=0 skipped=0 broken=""
say() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

# build PRESET [CMAKE OPTIONS]
build() {
    local preset=$1
    shift
    mkdir -p build
    cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 || { cat "build/$preset.configure.log"; return 1; }
    cmake --build --preset "$preset" -j "$JOBS" | tail -n 3
}

# run_tests PRESET JOBS [CTEST OPTIONS]: adds up what ctest counted. A test that hangs is ended after five minutes (left alone,
# ctest waits 25) and is named at once.
run_tests() {
    local preset=$1 jobs=$2 log="build/$1.ctest.log" total bad
    shift 2
    ctest --preset "$preset" -j "$jobs" --timeout 300 "$@" 2>&1 </dev/null | tee "$log" | grep --line-buffered -Ev '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test.*Passed)' || true
    total=$(sed -n 's/.*% tests passed, [0-9]* tests failed out of \([0-9]*\).*/\1/p' "$log" | tail -1)
    bad=$(sed -n 's/.*% tests passed, \([0-9]*\) tests failed out of .*/\1/p' "$log" | tail -1)
    local skip
    skip=$(grep -c '\*\*\*Skipped' "$log" || true)
    [ -n "$total" ] || { broken="$broken $preset"; return 0; }
    passed=$((passed + total - bad - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

# The client libraries and the Solidity compiler, as the lock files name them. Without a registry their tests skip and say so.
say "npm packages"
for folder in genesis tests/e2e/clients; do
    timeout 300 npm ci --silent --no-audit --no-fund --omit=optional --prefix "$folder" </dev/null \
        || echo "SKIPPED: 'npm ci --prefix $folder' failed; what needs it will be skipped"
done

say "release: build"
build release -DTRAINYARD_BENCH=OFF
say "release: tests"
run_tests release "$JOBS" -LE e2e
# These wait for blocks and deadlines most of the time: a fifth of a core each.
say "release: end-to-end tests"
run_tests release $((2 * JOBS)) -L e2e

if [ "${YARD_QUICK:-}" != 1 ]; then
    say "asan: build of the unit tests"
    build asan
    say "asan: tests"
    run_tests asan "$JOBS" -L unit
fi

say "done"
[ -z "$broken" ] || { echo "no result from:$broken"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
