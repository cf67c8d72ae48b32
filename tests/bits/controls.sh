#!/bin/sh
# Negative controls: the flags that the build refuses do change state roots, so that equal roots elsewhere
# mean something. Builds the small runs with each of them; at least one must miss the root of all other builds.
# usage: controls.sh [FOLDER]
set -eu
. "$(dirname "$0")/build.sh"
out=${1:-"$root/build/controls"}
mpi= # one process
status=0

control() { # flags
    folder="$out/$(echo "$*" | tr -d ' ')"
    build_bits "$folder" g++ -O2 "$@" -DTRAINYARD_NEGATIVE_CONTROL
    "$folder/bits" "$1" >"$folder/rows" || true
    differs=$(grep -c DIFFERS "$folder/rows" || true)
    echo "$*: $differs of $(wc -l <"$folder/rows") roots differ"
    awk '$NF == "DIFFERS" {print "  " $2, $3, $(NF - 1)}' "$folder/rows" | sort -u
    [ "$differs" -gt 0 ] || { echo "  the control fails"; status=1; }
}

control -ffast-math
control -ffp-contract=fast -mfma # where there is no fma instruction, nothing can be contracted

if (cd "$root" && g++ -std=c++20 -O2 -ffast-math -I. -fsyntax-only training/reference/ops.cpp 2>"$out/refusal"); then
    echo "-ffast-math was compiled without the macro of this test"
    status=1
else
    grep -q "change the bits of training" "$out/refusal" || status=1
fi
exit $status
