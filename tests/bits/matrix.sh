#!/bin/sh
# One final state root per program over compilers, levels, paths, threads and MPI processes: prints a
# table with one row per combination, then "one hash" or "differs". Rows already in FOLDER/rows are not
# computed again, so that a broken run goes on; remove FOLDER after a change of the code.
# usage: matrix.sh [FOLDER [STEPS]]
set -eu
. "$(dirname "$0")/build.sh"
out=${1:-"$root/build/matrix"}
steps=${2:-500}
rows="$out/rows"
mkdir -p "$out"
touch "$rows"

run() { # ranks, then a command
    ranks=$1
    shift
    [ "$ranks" -eq 1 ] && { "$@"; return; }
    mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 -n "$ranks" "$@"
}

row() { # compiler, level, path, threads, ranks
    label=$(printf '%-8s %-14s %-7s %s thread(s) %s process(es)' "$@")
    grep -q -F "$label" "$rows" && return
    line=$label
    for program in gpt mlp cnn diffusion; do
        hash=$(run "$5" "$out/$1$2/bits" root $program "$steps" "$3" "$4" | cut -c1-16)
        line="$line  ${hash:-failed}"
    done
    echo "$line" | tee -a "$rows"
}

printf '%-8s %-14s %-7s %-12s %-13s  %-16s  %-16s  %-16s  %s\n' compiler level path threads processes gpt mlp cnn diffusion
cat "$rows"
# One thread and one process everywhere comes first, so that a short run has seen all code.
for shape in "1 1" "2 1" ${mpi:+"1 2" "1 4" "2 2" "2 4"}; do
    for level in -O3 -O2 -march=native -O0; do
        for compiler in g++ clang++; do
            command -v $compiler >/dev/null || continue
            flags=$level
            [ "$level" = -march=native ] && flags="-O3 -march=native"
            [ -x "$out/$compiler$level/bits" ] || build_bits "$out/$compiler$level" $compiler $flags
            for path in avx512 avxvnni avx2 scalar; do
                "$out/$compiler$level/bits" root mlp 1 $path 1 >/dev/null || continue # not on this machine
                row $compiler "$level" $path $shape
            done
        done
    done
done
different=$(sed 's/.*process(es)//' "$rows" | sort -u | wc -l)
echo "$(wc -l <"$rows") rows of $steps steps"
[ "$different" -eq 1 ] && echo "one hash" || { echo "differs"; exit 1; }
