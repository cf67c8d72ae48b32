#!/bin/sh
# Builds the small training run with gcc and clang at -O0 and -O3 and compares every state root.
# usage: bits.sh [FOLDER FOR OBJECTS]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-"$root/build/bits"}
cache=$(command -v ccache || true)
sources=$(cd "$root" && ls training/*.cpp training/numerics/*.cpp training/reference/*.cpp \
    training/cpu/*.cpp core/assert.cpp core/bytes.cpp core/hash.cpp core/keccak.cpp \
    core/merkle.cpp core/rlp.cpp core/uint256.cpp tests/bits/main.cpp)

flags_of() {
    case $1 in
    */path_avx2.cpp) echo "-mavx2 -mfma" ;;
    */path_avx512.cpp | */hash_avx512.cpp) echo "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma" ;;
    esac
}

build_and_run() { # compiler, level
    folder="$out/$1$2"
    mkdir -p "$folder"
    objects=
    for source in $sources; do
        object="$folder/$(echo "$source" | tr / _).o"
        objects="$objects $object"
        # Each source is a translation unit of its own; -w because warnings are the build's matter.
        (cd "$root" && $cache "$1" -std=c++20 "$2" -w -ffp-contract=off -I. $(flags_of "$source") \
            -c "$source" -o "$object")
    done
    "$1" $objects -o "$folder/bits" -lcrypto -lpthread
    "$folder/bits" "$1 $2"
}

status=0
for compiler in g++ clang++ clang++-14 clang++-16; do
    command -v "$compiler" >/dev/null || continue
    case $compiler in clang++-*) command -v clang++ >/dev/null && continue ;; esac
    for level in -O0 -O3; do
        build_and_run "$compiler" "$level" || status=1
    done
done
[ $status -eq 0 ] && echo "one state root everywhere" || echo "state roots differ"
exit $status
