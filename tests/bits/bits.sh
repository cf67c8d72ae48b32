#!/bin/sh
# Builds the small training run with gcc and clang at -O0 and -O3 and compares every state root.
# usage: bits.sh [FOLDER FOR OBJECTS]
set -eu
. "$(dirname "$0")/build.sh"
out=${1:-"$root/build/bits"}

status=0
for compiler in g++ clang++ clang++-14 clang++-16; do
    command -v "$compiler" >/dev/null || continue
    case $compiler in clang++-*) command -v clang++ >/dev/null && continue ;; esac
    for level in -O0 -O3; do
        build_bits "$out/$compiler$level" "$compiler" "$level"
        "$out/$compiler$level/bits" "$compiler $level" || status=1
    done
done
[ $status -eq 0 ] && echo "one state root everywhere" || echo "state roots differ"
exit $status
