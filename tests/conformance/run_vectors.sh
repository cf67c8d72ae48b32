#!/bin/sh
# Unpacks the official vectors into the build folder, once, and runs one program over its part of them.
# usage: run_vectors.sh PROGRAM ARCHIVE FOLDER EXCLUSIONS; exit code 77 means skipped.
set -eu
program=$1 archive=$2 folder=$3 exclusions=$4
if [ ! -f "$archive" ]; then
    echo "SKIPPED: no official vectors at $archive; set TRAINYARD_SHARED to the folder that has vectors/ethereum.tar.xz"
    exit 77
fi
stamp="$folder/.unpacked-$(wc -c < "$archive")"
if [ ! -f "$stamp" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    tar -xJf "$archive" -C "$folder"
    : > "$stamp"
fi
# Sanitized builds have large frames, and calls nest 1024 deep.
ulimit -s 131072 2> /dev/null || true
case $(basename "$program") in
    statetest) "$program" "$folder/vectors/state" --exclude "$exclusions" --jobs 2 ;;
    blocktest)
        "$program" "$folder/vectors/blockchain" --exclude "$exclusions" --jobs 2
        echo "transactions beside each other"
        "$program" "$folder/vectors/blockchain" --exclude "$exclusions" --parallel 4 ;;
    trainyard)
        sh "$(dirname "$0")/import_chain.sh" "$program" "$folder/vectors/rpc"
        command -v python3 > /dev/null || { echo "SKIPPED: no python3 for the RPC exchanges"; exit 0; }
        python3 "$(dirname "$0")/rpc_exchanges.py" "$program" "$folder/vectors/rpc" \
            --known "$(dirname "$0")/rpc_known.txt" ;;
    precompiletest) "$program" "$folder/vectors/precompiles" ;;
esac
