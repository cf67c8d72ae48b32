#!/bin/sh
# Builds the training library for AArch64, with numvec, the small training runs and the self-test, and runs all under
# qemu on every path: the roots must be those of this machine. Needs Debian's g++-aarch64-linux-gnu and
# qemu-user, and libssl-dev:arm64 (dpkg --add-architecture arm64); ends with 77 where they are missing.
# usage: aarch64.sh [FOLDER [VECTORS]]
set -eu
. "$(dirname "$0")/build.sh"
out=${1:-"$root/build/aarch64"}
vectors=${2:-"$root/../shared/vectors/numerics"}
compiler=aarch64-linux-gnu-g++
mpi= # of this machine's own architecture only
link=-static

skip() {
    echo "SKIPPED: the paths for AArch64 were not tested: $*"
    exit 77
}
command -v $compiler >/dev/null || skip "no $compiler (apt-get install g++-aarch64-linux-gnu)"
command -v qemu-aarch64 >/dev/null || skip "no qemu-aarch64 (apt-get install qemu-user)"
[ -e /usr/lib/aarch64-linux-gnu/libcrypto.a ] || skip "no libcrypto for it (apt-get install libssl-dev:arm64)"

build_bits "$out" $compiler -O2
status=0
qemu-aarch64 -cpu max "$out/bits" "aarch64 -O2" || status=1
# A processor of the first generation, without dot products.
qemu-aarch64 -cpu cortex-a53 "$out/bits" "cortex-a53" 0 neon mlp || status=1

qemu-aarch64 -cpu max "$out/bits" operators || status=1

if [ -d "$vectors" ]; then
    objects=$(ls "$out"/*.o | grep -v -e tests_bits_main -e node_mpi)
    (cd "$root" && $compiler -std=c++20 -O2 -w -ffp-contract=off $link -I. tests/numvec/*.cpp $objects \
        -o "$out/numvec" -lcrypto -lpthread)
    qemu-aarch64 -cpu max "$out/numvec" "$vectors" || status=1
else
    echo "SKIPPED: no vectors at $vectors"
fi
[ $status -eq 0 ] && echo "one state root on AArch64 too" || echo "AArch64 differs"
exit $status
