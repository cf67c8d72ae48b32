#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the system contracts again and compares every byte; exit code 77 means skipped.
cd "$(dirname "$0")/../.." || exit 1
if ! command -v node >/dev/null || [ ! -d genesis/node_modules/solc ]; then
  echo "SKIPPED: needs node and 'npm ci --prefix genesis'" >&2
  exit 77
fi
exec node genesis/build.mjs --check
