#!/bin/sh
# Flags that change the bits of training must not configure. usage: refuses.sh FOLDER
set -eu
mkdir -p "$1"
root=$(cd "$(dirname "$0")/../.." && pwd)
status=0
for flag in -ffast-math -Ofast -ffp-contract=fast; do
    folder="$1/refuse$flag"
    rm -rf "$folder"
    if cmake -S "$root" -B "$folder" -DTRAINYARD_TESTS=OFF -DTRAINYARD_CUDA=OFF "-DCMAKE_CXX_FLAGS=$flag" \
        >"$folder.log" 2>&1; then
        echo "$flag was accepted"
        status=1
    elif grep -q "changes the bits of training and is refused" "$folder.log"; then
        echo "$flag is refused"
    else
        echo "$flag failed for another reason:"
        tail -n 5 "$folder.log"
        status=1
    fi
    rm -rf "$folder"
done
exit $status
