#!/bin/sh
# Unpacks the KZG vectors into the build folder, once, and checks every proof of a value at a point.
# usage: run.sh PROGRAM ARCHIVE FOLDER; exit code 77 means skipped.
set -eu
program=$1 archive=$2 folder=$3
if [ ! -f "$archive" ]; then
    echo "SKIPPED: no KZG vectors at $archive; set TRAINYARD_SHARED to the folder that has vectors/ethereum-extra.tar.xz"
    exit 77
fi
stamp="$folder/.unpacked-$(wc -c < "$archive")"
if [ ! -f "$stamp" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    tar -xJf "$archive" -C "$folder" vectors-extra/kzg/verify_kzg_proof
    : > "$stamp"
fi
"$program" "$folder/vectors-extra/kzg/verify_kzg_proof"
