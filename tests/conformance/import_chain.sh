#!/bin/sh
# `trainyard import` on the chain of the RPC vectors: it must end at the head that they name, go on from where it
# stopped, and refuse a chain whose bytes were changed. usage: import_chain.sh PROGRAM FOLDER
set -eu
program=$1 folder=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
head=$(sed -n 's/.*"headBlockHash": "\(0x[0-9a-f]*\)".*/\1/p' "$folder/headfcu.json")

import() { # DATADIR FILE
    "$program" --json import --genesis "$folder/genesis.json" --no-seal-check --datadir "$work/$1" "$2"
}
fail() { echo "FAILED: $*"; exit 1; }

whole=$(import whole "$folder/chain.rlp")
echo "$whole"
echo "$whole" | grep -q "\"hash\":\"$head\"" || fail "the head is not $head"
echo "$whole" | grep -q '"imported":54,"known":0,"transactions":249' || fail "not all blocks were imported"

again=$(import whole "$folder/chain.rlp")
echo "$again" | grep -q '"imported":0,"known":54' || fail "an import does not go on where it ended: $again"

# Half of the bytes end inside a block.
size=$(wc -c < "$folder/chain.rlp")
dd if="$folder/chain.rlp" of="$work/half.rlp" bs=1 count=$((size / 2)) 2>/dev/null
if import half "$work/half.rlp" 2> "$work/error"; then fail "half a block was taken"; fi
grep -q "no whole block at byte" "$work/error" || fail "no clear error: $(cat "$work/error")"
import half "$folder/chain.rlp" | grep -q "\"hash\":\"$head\"" || fail "the rest of the chain does not give the head"

# One byte in the header of block 1 changed.
{ dd if="$folder/chain.rlp" bs=1 count=100 2>/dev/null; printf '\001'; dd if="$folder/chain.rlp" bs=1 skip=101 2>/dev/null; } \
    > "$work/broken.rlp"
if import broken "$work/broken.rlp" 2> "$work/error"; then fail "a changed block was taken"; fi
grep -q "block 1 " "$work/error" || fail "the error does not name the block: $(cat "$work/error")"
if "$program" import --genesis "$folder/genesis.json" "$folder/chain.rlp" 2> "$work/error"; then fail "seals were not checked"; fi
grep -q -- "--no-seal-check" "$work/error" || fail "no word of --no-seal-check"
