#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all benchmarks of the release build; `./yard bench` builds them first. FILTER=regex picks some.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(nproc) cores"
for program in build/release/bin/bench_*; do
    case $program in */bench_evm | */bench_blobs) continue ;; esac # have their own arguments, see below
    "$program" --benchmark_min_time=0.3 ${FILTER:+--benchmark_filter="$FILTER"} 2>/dev/null
done

# The EVM against its vectors, where they are; bench_evm itself says what it skips.
shared=${TRAINYARD_SHARED:-../shared}/vectors folder=build/release/bench/vectors
if [ -x build/release/bin/bench_evm ]; then
    mkdir -p "$folder"
    for archive in evm-benchmarks ethereum-extra; do
        [ ! -f "$shared/$archive.tar.xz" ] || tar -xJf "$shared/$archive.tar.xz" -C "$folder"
    done
    build/release/bin/bench_evm "$folder/evm-benchmarks" "$folder/vectors-extra/bench-blocks"
fi

# Memory: forecast against peak.
[ ! -x build/release/bin/trainyard ] || python3 bench/training/memory.py

# Finality of four processes on this machine's loopback.
[ ! -x build/release/bin/trainyard ] || python3 bench/network/finality.py

# A blob for the verifier, over HTTP and mapped.
[ ! -x build/release/bin/bench_blobs ] || python3 bench/network/blobs.py
