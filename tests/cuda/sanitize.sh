#!/bin/sh
# Runs compute-sanitizer over every operator in small shapes, with each way of making products, and prints one line
# for each tool. They run at once, in a process for each way: a test is 10 to 100 times slower under a tool.
# usage: sanitize.sh [--build FOLDER] [--seconds N] [TOOL...]     default: build/cuda, 240 s, memcheck racecheck synccheck initcheck
# exit code 0: no findings; 1: findings, or a tool that did not come to an end; 77: no compute-sanitizer or no GPU here
set -u
build="$(cd "$(dirname "$0")/../.." && pwd)/build/cuda"
seconds=240
ways=6 # of cuda::Products; those that a device lacks are skipped
while [ $# -gt 1 ]; do
    case $1 in
    --build) build=$2 ;;
    --seconds) seconds=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -gt 0 ] || set -- memcheck racecheck synccheck initcheck

PATH=$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer
command -v compute-sanitizer >/dev/null || {
    echo "sanitize.sh: compute-sanitizer is neither in PATH nor in /usr/local/cuda; nothing was checked"
    exit 77
}
[ -x "$build/bin/test_cuda_device" ] || {
    echo "sanitize.sh: build first: cmake --preset cuda && cmake --build --preset cuda --target test_cuda_device"
    exit 1
}
if [ -d "$build/lib" ]; then
    export LD_LIBRARY_PATH="$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

check() { # tool, way
    GTEST_TOTAL_SHARDS=$ways GTEST_SHARD_INDEX=$2 timeout -k 5 "$seconds" compute-sanitizer --tool "$1" \
        "$build/bin/test_cuda_device" '--gtest_filter=*passes_the_self_test*' >"$logs/$1.$2" 2>&1
    echo "exit code $?" >>"$logs/$1.$2"
}

# Of "ERROR SUMMARY: 2 errors" and "RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)".
findings() { # tool
    cat "$logs/$1".* | sed -n 's/^=* *[A-Z]* SUMMARY: \([0-9]*\) .*/\1/p' | awk '{sum += $1} END {print sum + 0}'
}

for tool in "$@"; do
    way=0
    while [ $way -lt $ways ]; do
        check "$tool" $way &
        way=$((way + 1))
    done
done
wait

# Logs of processes that neither passed without a finding nor had a device and a way for it.
failed() { # tool
    for log in "$logs/$1".*; do
        grep -q '^\[  SKIPPED \]' "$log" && continue
        grep -q '^\[       OK \]' "$log" && grep -q 'SUMMARY: 0 ' "$log" && grep -qx 'exit code 0' "$log" || echo "$log"
    done
}

status=0
for tool in "$@"; do
    passed=$(cat "$logs/$tool".* | grep -c '^\[       OK \]')
    found=$(findings "$tool")
    if [ "$found" -gt 0 ]; then
        echo "$tool: $found findings"
        grep -h '^=========' "$logs/$tool".* | head -n 60
        status=1
    elif grep -qx 'exit code 124\|exit code 137' "$logs/$tool".*; then
        echo "$tool: not finished in $seconds s"
        status=1
    elif log=$(failed "$tool" | head -n 1) && [ -n "$log" ]; then
        echo "$tool: failed"
        tail -n 40 "$log"
        status=1
    elif [ "$passed" -eq 0 ]; then
        echo "$tool: NOT RUN: $(cat "$logs/$tool".* | grep -m 1 'NOT RUN ON A DEVICE' || echo 'no way of making products can be opened')"
        [ $status -ne 0 ] || status=77
    else
        echo "$tool: 0 errors, every operator with $passed ways of making products"
    fi
done
exit $status
