#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the CUDA back end of this machine in one call: bits, each operator against its floor, whole steps against PyTorch.

usage: run.py [--build FOLDER] [--filter REGEX] [--no-torch] [--out FILE]
exit code 0: measured; 1: bits are wrong, or a bench ended early; 77: there is no GPU here

A floor is what the slower of two limits allows, both measured here: the bytes of inputs and outputs, each once, over the
bandwidth of a plain sum, and the multiply-adds over the rate of the fastest product of this run. The table goes to --out
(default bench/results/cuda.md). PyTorch is asked for the same steps in bfloat16 where `import torch` works.

All of it takes some ten minutes. Where a device is lent for less, begin with --filter cuda::step --no-torch. Programs find
libraries in FOLDER/lib, where there is one: docs/notes/cuda.md says how to take them to a machine that has none.
"""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NO_GPU = 77
TORCH_SECONDS_MAX = 180
# Name of the bench -> layers, width, sequence, vocabulary, sequences of a step.
STEPS = {
    "gpt 0.9M": (4, 128, 128, 256, 16),
    "gpt 124M": (12, 768, 1024, 50257, 8),
    "gpt 1B": (16, 2048, 1024, 50257, 4),
}


def environment_of(binaries):
    """That of this process, with libraries that lie beside the programs."""
    path = [str(binaries.parent / "lib"), os.environ.get("LD_LIBRARY_PATH")]
    return os.environ | ({"LD_LIBRARY_PATH": ":".join(filter(None, path))} if pathlib.Path(path[0]).is_dir() else {})


def json_lines(command, env):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=env)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def device_of(lines):
    """The device that passed among the lines of `trainyard verifier --json`, or None, and what was refused before it:
    a device is tried with one way of making products after the other."""
    tested = [line for line in lines if line.get("event") == "selfTest" and line["backend"].startswith("cuda")]
    passed = next((line["backend"] for line in tested if line["passed"]), None)
    return passed, [f"{line['backend']}: {line.get('failure', '')}" for line in tested if not line["passed"]]


def seconds_of(bench):
    return bench["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[bench["time_unit"]]


def step_name(sizes):
    layers, width, sequence, vocabulary, sequences = sizes
    return (f"cuda::step/layers:{layers}/width:{width}/sequence:{sequence}/"
            f"vocabulary:{vocabulary}/sequences:{sequences}/iterations:20/real_time")


def operator_rows(benches, bandwidth):
    """[name, seconds, floor in seconds, which limit] for each operator that was timed."""
    operators = [b for b in benches if "bytes" in b and not b.get("error_occurred")]
    rates = [b["macs"] / seconds_of(b) for b in operators if b["macs"] > 0]
    macs_per_s = max(rates) if rates else float("inf")
    rows = []
    for b in operators:
        by_bytes, by_macs = b["bytes"] / bandwidth, b["macs"] / macs_per_s
        rows.append([b["name"].removesuffix("/real_time"), seconds_of(b), max(by_bytes, by_macs),
                     "bytes" if by_bytes >= by_macs else "products"])
    return rows, macs_per_s


def step_rows(benches, rival):
    """[shape, seconds or why not, seconds of PyTorch or None]"""
    by_name = {b["name"]: b for b in benches}
    rows = []
    for title, sizes in STEPS.items():
        bench = by_name.get(step_name(sizes))
        if bench is None:
            rows.append([title, "not run", None])
        elif bench.get("error_occurred"):
            rows.append([title, bench.get("error_message", "failed"), None])
        else:
            rows.append([title, seconds_of(bench), rival(sizes)])
    return rows


def torch_step(sizes):
    """Seconds of one step in PyTorch, or None where it cannot be measured."""
    command = [sys.executable, str(ROOT / "bench/cuda/torch_step.py"), *map(str, sizes)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
                              timeout=TORCH_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None
    return float(done.stdout) if done.returncode == 0 else None


def benches_in(text):
    """Those that a file of bench_cuda holds; if it ended early, those before."""
    try:
        return json.loads(text)["benchmarks"]
    except ValueError:
        whole = text.rfind("\n    }")
        return json.loads(text[:whole] + "}]}")["benchmarks"] if whole > 0 else []


def measure(binaries, only, env):
    """The exit code of bench_cuda and what it measured; each line is shown as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "benches.json"
        out.touch()
        command = [binaries / "bench_cuda", f"--benchmark_filter={only}", f"--benchmark_out={out}",
                   "--benchmark_out_format=json"]
        code = subprocess.run(command, check=False, env=env).returncode
        return code, benches_in(out.read_text(encoding="utf-8"))


def report(device, operators, macs_per_s, bandwidth, steps):
    rate = f"{2 * macs_per_s / 1e12:.0f} int8 TOP/s" if macs_per_s < float("inf") else "no product"
    text = ["# Speed of the CUDA back end", "",
            f"`bench/cuda/run.py` on {device}, {datetime.date.today()}. Floors: {bandwidth / 1e9:.0f} GB/s and {rate}, "
            "both measured in this run; a product counts with quantising.", "",
            "| operator | time | floor | times the floor | floor by |", "|---|---|---|---|---|"]
    for name, took, floor, by in operators:
        text.append(f"| {name} | {took * 1e3:.3f} ms | {floor * 1e3:.3f} ms | {took / floor:.1f} | {by} |")
    text += ["", "| step | ours, int8 | PyTorch, bf16 | ratio |", "|---|---|---|---|"]
    for title, took, rival in steps:
        if isinstance(took, str):
            text.append(f"| {title} | {took} | | |")
        elif rival is None:
            text.append(f"| {title} | {took * 1e3:.1f} ms | not here | |")
        else:
            text.append(f"| {title} | {took * 1e3:.1f} ms | {rival * 1e3:.1f} ms | {rival / took:.2f} |")
    return "\n".join(text) + "\n"


def find_build(given):
    folders = [pathlib.Path(given)] if given else [ROOT / "build" / name for name in ("cuda", "release")]
    for folder in folders:
        if (folder / "bin/bench_cuda").exists() and (folder / "bin/trainyard").exists():
            return folder / "bin"
    sys.exit("run.py: build first: cmake --preset cuda -DTRAINYARD_BENCH=ON && cmake --build --preset cuda")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="build folder [build/cuda, else build/release]")
    parser.add_argument("--filter", default=".", help="which benches, a regular expression [all]")
    parser.add_argument("--no-torch", action="store_true", help="without PyTorch's times, which take minutes to compile")
    parser.add_argument("--out", default=str(ROOT / "bench/results/cuda.md"))
    args = parser.parse_args()
    binaries = find_build(args.build)
    env = environment_of(binaries)
    _, tested = json_lines([binaries / "trainyard", "verifier", "--json"], env)
    device, refused = device_of(tested)
    for failure in refused:
        print(f"run.py: wrong bits, refused: {failure}")
    if device is None and not refused:
        print("run.py: no GPU that CUDA can use here; nothing was measured")
        return NO_GPU
    if device is None:
        return 1
    if subprocess.run([binaries / "test_cuda_device"], check=False, env=env).returncode != 0:
        print(f"run.py: the bits of {device} are wrong in large shapes, see above")
        return 1
    _, checks = json_lines([binaries / "trainyard", "provider", "check", "--json", "--memory-mb", "1"], env)
    bandwidth = next(line["gBPerS"] for line in checks if line.get("check") == "bandwidth") * 1e9
    code, benches = measure(binaries, args.filter, env)
    operators, macs_per_s = operator_rows(benches, bandwidth)
    rival = (lambda sizes: None) if args.no_torch else torch_step
    text = report(device, operators, macs_per_s, bandwidth, step_rows(benches, rival))
    print(text, end="")
    pathlib.Path(args.out).write_text(text, encoding="utf-8")
    if code != 0:
        print(f"run.py: bench_cuda ended early with {code}; the tables hold what it had measured")
    return 1 if code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
