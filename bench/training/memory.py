#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forecast of memory against the measured peak, without a limit and with the activations that do not fit computed twice.

usage: memory.py [PATH_OF_TRAINYARD [CPU_PATH...]]

Prints one row per run on each path of the CPU (default: the best) and ends with status 1 if a peak is more than 5 % from its forecast, or if a limit changes the bits.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

TRAINYARD = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/trainyard"
PATHS = sys.argv[2:] or ["best"]
TOLERANCE = 0.05
STEPS = "3"

# name, template and its options, micro-batches, limit as a share of the forecast without one
RUNS = [
    ("gpt L4 d128 T128 B16", ["gpt", "--layers", "4", "--width", "128", "--heads", "4", "--sequence", "128", "--sequences", "16"], 1, 0.75),
    ("gpt L8 d512 T256 B8", ["gpt", "--layers", "8", "--width", "512", "--heads", "8", "--sequence", "256", "--sequences", "8"], 1, 0.85),
    ("gpt L4 d256 T1024 B4", ["gpt", "--layers", "4", "--width", "256", "--heads", "4", "--sequence", "1024", "--sequences", "4"], 1, 0.6),
    ("gpt L4 d256 T128 B4 M8", ["gpt", "--layers", "4", "--width", "256", "--heads", "4", "--sequence", "128", "--sequences", "4"], 8, 0.9),
    ("gpt L1 d64 T64 B2", ["gpt", "--layers", "1", "--width", "64", "--heads", "2", "--sequence", "64", "--sequences", "2"], 1, 1.2),
    ("mlp 16 hidden B8", ["mlp", "--hidden", "16", "--sequences", "8"], 1, 1.2),
    ("cnn 16 channels B128", ["cnn", "--channels", "16", "--sequences", "128"], 1, 0.9),
    ("diffusion 16 channels B64", ["diffusion", "--channels", "16", "--sequences", "64"], 1, 0.85),
    ("LoRA on L4 d256 T128 B4", ["finetune", "--sequences", "4"], 1, 0.9),
]


def call(*words):
    done = subprocess.run([TRAINYARD, "--json", *map(str, words)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder, run, path):
    """Rows of one program on one path; True if all is well."""
    title, options, micro_batches, share = run
    program = folder / "program"
    common = ["--micro-batches", micro_batches, "--steps", STEPS, "--out", program]
    if options[0] == "finetune":
        data = folder / "with weights.tyd"
        call("program", *options, "--model", folder / "base", "--data", folder / "text", "--data-out", data, *common)
    else:
        data = folder / ("text" if options[0] == "gpt" else "shapes.tyd")
        call("program", "new", *options, "--data", data, *common)
    threads = [] if micro_batches == 1 else ["--threads", 2, "--checkpoint-every", 2]
    common = ["train", "--program", program, "--data", data, "--no-cuda", "--cpu-path", path, "--out", folder / "model", *threads]
    free = call(*common, "--dry-run")["memoryBytes"]
    roots, good = set(), True
    for limit in [0, int(free * share)]:
        within = ["--memory", limit] if limit else []
        plan = call(*common, *within, "--dry-run")
        got = call(*common, *within)
        roots.add(got["stateRoot"])
        difference = got["peakBytes"] / got["forecastBytes"] - 1
        good &= abs(difference) <= TOLERANCE
        mib = [f"{x / 2**20:.1f}" for x in (got["forecastBytes"], got["peakBytes"])]
        print(f"{path:8} {title:26} {f'{limit / 2**20:.1f}' if limit else 'none':>9} {mib[0]:>9} {mib[1]:>9}  {100 * difference:+9.1f} %"
              f"  {plan['recomputedOperators']}", flush=True)
    if len(roots) != 1:
        print(f"{title}: a limit changed the bits")
    return good and len(roots) == 1


def main():
    print(f"{'path':8} {'program':26} {'limit':>9} {'forecast':>9} {'peak':>9}  difference  operators run twice")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text").write_text("".join(f"line {i * i % 977} of the yard\n" for i in range(50_000)))
        call("train", "--data", folder / "text", "--no-cuda", "--layers", 4, "--width", 256, "--sequence", 128, "--steps", 1, "--segment", 1, "--out", folder / "base")
        call("data", "shapes", "--count", 4096, "--out", folder / "shapes.tyd")
        good = all([measure(folder, run, path) for path in PATHS for run in RUNS])
    print("within 5 %, the same bits" if good else "FAILED")
    sys.exit(not good)


if __name__ == "__main__":
    main()
