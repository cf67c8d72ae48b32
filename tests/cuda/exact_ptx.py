#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Device code contains no instruction whose result a device may choose.

usage: python3 exact_ptx.py <nvcc> <root of the repository>     exit code 0 when clean
"""
import collections
import pathlib
import re
import subprocess
import sys

# Flushed subnormals, approximations, rounding left open, and sums in the order of arrival.
FORBIDDEN = [
    (r"\.ftz\b", "flushes subnormals"),
    (r"\.approx\b|\bdiv\.full", "is an approximation"),
    (r"\b(?:add|sub|mul|div|sqrt|rcp|fma)\.f32\b", "leaves rounding or contraction open"),
    (r"\bmad\.(?:rn\.)?f32\b", "leaves contraction open"),
    (r"\b(?:ex2|lg2|sin|cos|tanh|rsqrt)\.", "is a library function"),
    (r"\b(?:atom|red)\.[a-z0-9.]*f(?:16|32|64)", "adds floats in the order of arrival"),
    (r"\.f64\b", "computes in double"),
    (r"\b(?:min|max)\.f32", "drops NaN"),
    (r"\.satfinite\b", "saturates"),
]
NEEDED = ["add.rn.f32", "mul.rn.f32", "fma.rn.f32", "div.rn.f32", "sqrt.rn.f32", "m16n8k32", "m16n8k16",
          "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8",
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ",
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster",
          ".reqnctapercluster 2, 1, 1", "griddepcontrol.wait"]
# Products by warpgroups are compiled for 9.0a only.
COMPILED = [("*.cu", "compute_80"), ("products.cu", "compute_90a")]


def main():
    root = pathlib.Path(sys.argv[2])
    code = []
    for source, architecture in [(s, a) for files, a in COMPILED for s in sorted((root / "cuda").glob(files))]:
        flags = ["-std=c++20", f"-arch={architecture}", "-fmad=false", "-I", str(root), "-ptx", "-o", "-"]
        listing = subprocess.run([sys.argv[1], *flags, str(source)], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        code += [line for line in listing.splitlines() if not line.lstrip().startswith("//")]
    findings = collections.Counter()
    for line in code:
        for pattern, why in FORBIDDEN:
            found = re.search(pattern, line)
            if found:
                findings[f"{line.split()[0]} {why}"] += 1
    for name in NEEDED:
        if not any(name in line for line in code):
            findings[f"no {name} found: is this the device code?"] += 1
    for text, count in sorted(findings.items()):
        print(f"{count} x {text}")
    return 1 if findings else 0


sys.exit(main())
