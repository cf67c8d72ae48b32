#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks the model of the view rules with spin: the rules hold, and each broken rule is found.
# usage: run.sh FOLDER [VIEWS]; exit code 77 means skipped. Two views take seconds, three take hours (BITSTATE=1: a sample).
set -eu
model=$(cd "$(dirname "$0")/../.." && pwd)/docs/spec/model/views.pml
if ! command -v spin >/dev/null; then
    echo "SKIPPED: needs spin (Debian package spin)"
    exit 77
fi
folder=$1 views=${2:-2}
mkdir -p "$folder"
cd "$folder"

search() { # DEFINITION or nothing; prints what was searched, and sets `errors`
    spin "-DVIEWS=$views" ${1:+"-D$1"} -a "$model"
    cc -O2 -DSAFETY ${BITSTATE:+-DBITSTATE} -o pan pan.c
    ./pan -m1000000 ${BITSTATE:+-w32} >pan.out
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out)
    echo "${1:-the rules}, $views views: $(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out) states, $errors errors"
}

search ""
[ "$errors" = 0 ] || { grep "assertion violated" pan.out; exit 1; }
for broken in FORGET NULLIFY_ALL GAP BLIND FAULTY2; do
    search "$broken"
    [ "$errors" != 0 ] || { echo "the model does not notice $broken"; exit 1; }
done
echo "the rules hold, and every broken one is found"
