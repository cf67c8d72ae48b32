#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all benchmarks of the release build; `./yard bench` builds them first. FILTER=regex picks some.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(nproc) cores"
for program in build/release/bin/bench_*; do
    "$program" --benchmark_min_time=0.3 ${FILTER:+--benchmark_filter="$FILTER"} 2>/dev/null
done
