#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the CUDA back end of this machine in one call: bits, each operator against its floor, whole steps against PyTorch,
a cold audit.

usage: run.py [--build FOLDER] [--parts LIST] [--filter REGEX] [--products WAY] [--checksums] [--seconds N] [--out FILE]
exit code 0: measured; 1: bits are wrong, or a part ended early; 77: there is no GPU here

parts   bits       every operator and 500 steps of gpt, mlp, cnn and diffusion: the CPU's hashes (test_cuda_device)
        steps      whole training steps
        operators  each operator; --filter takes some of them
        audit      a micro-batch of gpt 124M, from no process to the verdict (bench_audit)
        torch      int8 products by cuBLASLt and the same steps in bfloat16, where `import torch` works (torch_step.py)

A floor is what the slower of two limits allows, both measured here: the bytes of inputs and outputs, each once, over the
bandwidth of a plain sum, and the multiply-adds over the peak, which is the rate of tensor cores that wait for nothing
(cuda::int8_peak) or, on devices for which that is not written, of the fastest product. An operation is half a multiply-add.

Model FLOP of a step, the same for everyone: tokens * (6 N + 6 L T d). N are the parameters that are multiplied, 12 L d^2 of
the layers and d V of the head, each 2 FLOP forward and 4 backward; attention is 2 T d forward for each token and layer (half
of the square, 2 FLOP for a score and 2 for its use), 4 T d backward. Whatever a back end computes twice does not count.

All parts take some four minutes, which is the default of --seconds: a part that is not done in its share of them is ended,
and the tables hold what it had measured. Programs find libraries in FOLDER/lib, where there is one: docs/notes/cuda.md says
how to take them to a machine that has none.
"""
import argparse
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NO_GPU = 77
# Part -> seconds that it may take.
PARTS = {"bits": 60, "steps": 80, "operators": 80, "audit": 100, "torch": 150}
CHECK_SECONDS_MAX = 30
SHARDS = 8  # processes that share the tests of bits
OPEN_1B_FLOPS = 50.6e12  # of each H100, as its authors say
# Name -> layers, width, sequence, vocabulary, sequences of a micro-batch, which here is a step.
STEPS = {
    "gpt 124M, 8 x 1024": (12, 768, 1024, 50257, 8),
    "gpt 124M, vocabulary padded": (12, 768, 1024, 50304, 8),
    "gpt 1B, 4 x 1024": (16, 2048, 1024, 50257, 4),
    "gpt 124M, 32 x 1024": (12, 768, 1024, 50257, 32),
    "gpt 1B, 16 x 1024": (16, 2048, 1024, 50257, 16),
    "gpt 0.9M, 16 x 128": (4, 128, 128, 256, 16),
}
# n, i, o: the one that is compared with the peak, and those of gpt 124M.
LARGE = (8192, 8192, 8192)
PRODUCTS = [LARGE, (8192, 768, 2304), (8192, 768, 768), (8192, 768, 3072), (8192, 3072, 768), (8192, 768, 50257)]


def model_flop(sizes):
    layers, width, sequence, vocabulary, sequences = sizes
    multiplied = 12 * layers * width**2 + width * vocabulary
    return sequences * sequence * (6 * multiplied + 6 * layers * sequence * width)


def environment_of(binaries):
    """That of this process, with libraries that lie beside the programs."""
    path = [str(binaries.parent / "lib"), os.environ.get("LD_LIBRARY_PATH")]
    return os.environ | ({"LD_LIBRARY_PATH": ":".join(filter(None, path))} if pathlib.Path(path[0]).is_dir() else {})


def run_for(seconds, command, env, stdout=subprocess.PIPE):
    """Exit code, or None if it was ended because its time was over, and what it wrote until then."""
    process = subprocess.Popen(list(map(str, command)), env=env, stdout=stdout, text=True, start_new_session=True)
    try:
        text, _ = process.communicate(timeout=max(seconds, 0))
        return process.returncode, text
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]


def json_lines(text):
    """A line that was cut off is left out."""
    return [json.loads(line) for line in (text or "").splitlines() if line.startswith("{") and line.endswith("}")]


def device_of(lines):
    """The device that passed among the lines of `trainyard verifier --json`, or None, and what was refused before it:
    a device is tried with one way of making products after the other."""
    tested = [line for line in lines if line.get("event") == "selfTest" and line["backend"].startswith("cuda")]
    passed = next((line["backend"] for line in tested if line["passed"]), None)
    return passed, [f"{line['backend']}: {line.get('failure', '')}" for line in tested if not line["passed"]]


def machine():
    """Driver and cores."""
    version = pathlib.Path("/sys/module/nvidia/version")
    driver = f"driver {version.read_text(encoding='utf-8').strip()}" if version.exists() else "driver unknown"
    return f"{driver}, {os.cpu_count()} cores"


def bits_are_right(binaries, env, seconds):
    """The device's tests in SHARDS processes at once; those that fail are shown."""
    def start(index):
        return subprocess.Popen([binaries / "test_cuda_device"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True,
                                env=env | {"GTEST_TOTAL_SHARDS": str(SHARDS), "GTEST_SHARD_INDEX": str(index)})

    deadline = time.monotonic() + seconds
    right = True
    for process in [start(index) for index in range(SHARDS)]:
        try:
            text, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text = process.communicate()[0] + f"run.py: ended after {seconds:.0f} s\n"
        if process.returncode != 0:
            print(text, end="")
            right = False
    return right


def seconds_of(bench):
    return bench["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[bench["time_unit"]]


def step_name(sizes):
    layers, width, sequence, vocabulary, sequences = sizes
    return (f"cuda::step/layers:{layers}/width:{width}/sequence:{sequence}/"
            f"vocabulary:{vocabulary}/sequences:{sequences}/iterations:10/real_time")


def product_name(sizes):
    return "cuda::linear/n:{}/i:{}/o:{}".format(*sizes)


def peak_of(benches):
    """Multiply-adds a second of tensor cores that wait for nothing, or of the fastest product, and which of them."""
    peaks = [b["peak_macs"] / seconds_of(b) for b in benches if "peak_macs" in b and not b.get("error_occurred")]
    if peaks:
        return max(peaks), "of products in shared memory"
    rates = [b["macs"] / seconds_of(b) for b in benches if b.get("macs", 0) > 0 and not b.get("error_occurred")]
    return (max(rates), "of the fastest product") if rates else (float("inf"), "no product")


def operator_rows(benches, bandwidth, peak):
    """[name, seconds, floor in seconds, which limit, share of the peak or None] for each operator that was timed."""
    rows = []
    for b in benches:
        if "bytes" not in b or b.get("error_occurred"):
            continue
        by_bytes, by_macs = b["bytes"] / bandwidth, b["macs"] / peak
        rows.append([b["name"].removesuffix("/real_time"), seconds_of(b), max(by_bytes, by_macs),
                     "bytes" if by_bytes >= by_macs else "products", by_macs / seconds_of(b) if b["macs"] > 0 else None])
    return rows


def step_rows(benches, rivals):
    """[name, sizes, seconds or why not, seconds or why not of PyTorch eager, the same compiled]"""
    by_name = {b["name"]: b for b in benches}
    rows = []
    for name, sizes in STEPS.items():
        bench = by_name.get(step_name(sizes))
        if bench is None:
            took = "not run"
        else:
            took = bench.get("error_message", "failed") if bench.get("error_occurred") else seconds_of(bench)
        rows.append([name, sizes, took, rivals.get((sizes, "eager"), "not here"), rivals.get((sizes, "compiled"), "not here")])
    return rows


def rivals_in(lines):
    """(sizes, "product" or mode of a step) -> seconds or why not, from the lines of torch_step.py."""
    out = {}
    for line in lines:
        key = "product" if "product" in line else "step"
        if key in line:
            out[tuple(line[key]), line.get("mode", key)] = line.get("s", line.get("error"))
    return out


def benches_in(text):
    """Those that a file of bench_cuda holds; if it ended early, those before."""
    try:
        return json.loads(text)["benchmarks"]
    except ValueError:
        whole = text.rfind("\n    }")
        return json.loads(text[:whole] + "}]}")["benchmarks"] if whole > 0 else []


def measure(binaries, only, env, seconds):
    """The exit code of bench_cuda and what it measured; each line is shown as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "benches.json"
        out.touch()
        command = [binaries / "bench_cuda", f"--benchmark_filter={only}", f"--benchmark_out={out}",
                   "--benchmark_out_format=json", "--benchmark_min_time=0.1"]
        code, _ = run_for(seconds, command, env, stdout=None)
        return code, benches_in(out.read_text(encoding="utf-8"))


def in_ms(took):
    return f"{took * 1e3:.1f} ms" if isinstance(took, float) else str(took)


def operator_table(rows):
    out = ["| operator | time | floor | times the floor | floor by | share of the peak |", "|---|---|---|---|---|---|"]
    for name, took, floor, by, share in rows:
        of_peak = "" if share is None else f"{share * 100:.0f} %"
        out.append(f"| {name} | {took * 1e3:.3f} ms | {floor * 1e3:.3f} ms | {took / floor:.1f} | {by} | {of_peak} |")
    return out


def product_table(rows, rivals, peak):
    """Ours with quantise and dequantise, cuBLASLt's integers alone."""
    took = {row[0]: row[1] for row in rows}
    out = ["| int8 product | ours, with quantise and dequantise | share of the peak | cuBLASLt, int8 to int32 | share of the peak |",
           "|---|---|---|---|---|"]
    for sizes in PRODUCTS:
        n, i, o = sizes

        def cells(seconds):
            if not isinstance(seconds, float):
                return f"{seconds} | "
            rate = n * i * o / seconds
            return f"{seconds * 1e3:.3f} ms, {2e-12 * rate:.0f} TOP/s | {rate / peak * 100:.0f} %"

        ours, theirs = took.get(product_name(sizes), "not run"), rivals.get((sizes, "product"), "not here")
        out.append(f"| {n} x {i} x {o} | {cells(ours)} | {cells(theirs)} |")
    return out


def step_table(rows):
    out = ["| step | ours, int8 | model TFLOP/s | OPEN-1B's times | PyTorch bf16, eager | compiled | compiled over ours |",
           "|---|---|---|---|---|---|---|"]
    for name, sizes, took, eager, compiled in rows:
        is_done = isinstance(took, float)
        rate = model_flop(sizes) / took if is_done else 0
        ours = f"{rate / 1e12:.0f} | {rate / OPEN_1B_FLOPS:.2f}" if is_done else " | "
        ratio = f"{compiled / took:.2f}" if is_done and isinstance(compiled, float) else ""
        out.append(f"| {name} | {in_ms(took)} | {ours} | {in_ms(eager)} | {in_ms(compiled)} | {ratio} |")
    return out


def audit_table(audit):
    parts = {"process, back end and self-test": "startS", "request to the process": "travelS", "memory for the program": "openS",
             "check of the bundle": "bundleS", "of it, weights to the back end": "loadS",
             "of it, the micro-batch and its root": "unitS", "state of the segment's end": "stateS"}
    out = [f"Cold audit of one micro-batch of gpt 124M on {audit['audit']}: {audit['coldS']:.2f} s to the verdict, "
           f"{audit['share'] * 100:.0f} % of a segment of 20 steps of {audit['stepS'] * 1e3:.0f} ms (4 micro-batches of 8 x 1024). "
           f"{audit['bytes'] / 1e9:.2f} GB of state and bundle.", "",
           "| part | seconds |", "|---|---|"]
    return out + [f"| {name} | {audit[key]:.3f} |" for name, key in parts.items() if key in audit]


def headline(rows, peak):
    """The product that the peak is for."""
    took = {row[0]: row[1] for row in rows}.get(product_name(LARGE))
    if took is None:
        return "The product of 8192 x 8192 x 8192 was not run."
    rate = LARGE[0] ** 3 / took
    return (f"8192 x 8192 x 8192 with quantise and dequantise: {took * 1e6:.0f} us, {2e-12 * rate:.0f} TOP/s, "
            f"share of the peak {rate / peak * 100:.0f} %.")


def report(device, found):
    """`found`: benches, bandwidth, rivals, audit, torch's version or None, whether bits were tested."""
    peak, kind = peak_of(found["benches"])
    rate = f"{2e-12 * peak:.0f} int8 TOP/s {kind}" if peak < float("inf") else kind
    rows = operator_rows(found["benches"], found["bandwidth"], peak)
    way = f", products by {found['products']}" if found.get("products") else ""
    text = ["# Speed of the CUDA back end", "",
            f"`bench/cuda/run.py` on {device}{way}, {machine()}, {datetime.date.today()}; PyTorch {found['torch'] or 'not here'}. "
            f"Measured in this run: {found['bandwidth'] / 1e9:.0f} GB/s; peak: {rate}.", "",
            "Bits: every operator and 500 steps of gpt, mlp, cnn and diffusion give the CPU's hashes (bench/results/bits.md)."
            if found["bits"] else "Bits: the self-test passed; nothing else was tested in this run.", "",
            headline(rows, peak), ""]
    text += product_table(rows, found["rivals"], peak) + [""]
    text += step_table(step_rows(found["benches"], found["rivals"])) + [""]
    if found["audit"]:
        text += audit_table(found["audit"]) + [""]
    return "\n".join(text + operator_table(rows)) + "\n"


def find_build(given):
    folders = [pathlib.Path(given)] if given else [ROOT / "build" / name for name in ("cuda", "release")]
    for folder in folders:
        if (folder / "bin/bench_cuda").exists() and (folder / "bin/trainyard").exists():
            return folder / "bin"
    sys.exit("run.py: build first: cmake --preset cuda -DTRAINYARD_BENCH=ON && cmake --build --preset cuda")


def parts_of(text):
    parts = text.split(",")
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"'{part}' is none of {', '.join(PARTS)}")
    return parts


class Run:
    """The parts, one after the other, within the time that there is for all."""

    def __init__(self, binaries, args):
        self.binaries, self.args, self.env = binaries, args, environment_of(binaries)
        if args.products:
            self.env = dict(self.env, TRAINYARD_BENCH_PRODUCTS=args.products)
        if args.checksums:
            self.env = dict(self.env, TRAINYARD_BENCH_CHECKSUMS="1")
        self.deadline = time.monotonic() + args.seconds
        self.early = []  # what ended early
        self.found = {"benches": [], "bandwidth": 0.0, "rivals": {}, "audit": {}, "torch": None, "bits": False,
                      "products": args.products}

    def left(self, most):
        return min(most, self.deadline - time.monotonic())

    def lines_of(self, program, *words):
        code, text = run_for(self.left(CHECK_SECONDS_MAX), [self.binaries / program, *words], self.env)
        return code, json_lines(text)

    def part(self, name):
        """Seconds for it, or 0 if it is not wanted or there is no time."""
        if name not in self.args.parts:
            return 0
        seconds = self.left(PARTS[name])
        if seconds < 1:
            self.early.append(f"{name} (no time was left)")
            return 0
        print(f"run.py: {name}, up to {seconds:.0f} s", flush=True)
        return seconds

    def benches(self, name, only):
        if seconds := self.part(name):
            code, benches = measure(self.binaries, only, self.env, seconds)
            self.found["benches"] += benches
            if code != 0:
                self.early.append(f"{name} ({'its time was over' if code is None else f'bench_cuda gave {code}'})")

    def audit(self):
        if seconds := self.part("audit"):
            code, text = run_for(seconds, [self.binaries / "bench_audit"], self.env)
            for line in json_lines(text):
                self.found["audit"] |= line
            if code != 0:
                self.early.append(f"audit ({'its time was over' if code is None else f'bench_audit gave {code}'})")

    def torch(self):
        if seconds := self.part("torch"):
            shapes = [",".join(map(str, sizes)) for sizes in [*PRODUCTS, *STEPS.values()]]
            code, text = run_for(seconds, [sys.executable, ROOT / "bench/cuda/torch_step.py", f"{seconds - 5:.0f}", *shapes],
                                 os.environ)
            lines = json_lines(text)
            self.found["rivals"] = rivals_in(lines)
            self.found["torch"] = next((line["torch"] for line in lines if "torch" in line), None)
            if code is None:
                self.early.append("torch (its time was over)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="build folder [build/cuda, else build/release]")
    parser.add_argument("--parts", type=parts_of, default=list(PARTS), help="some of them, with commas between [all]")
    parser.add_argument("--filter", help="which operators, a regular expression [all]")
    parser.add_argument("--products", help="how steps and operators make products, as `trainyard verifier` names it [the first that passes]")
    parser.add_argument("--checksums", action="store_true", help="check products as devices without ECC do")
    parser.add_argument("--seconds", type=float, default=240, help="for all parts together [240]")
    parser.add_argument("--out", default=str(ROOT / "bench/results/cuda.md"))
    args = parser.parse_args()
    run = Run(find_build(args.build), args)
    device, refused = device_of(run.lines_of("trainyard", "verifier", "--json")[1])
    for failure in refused:
        print(f"run.py: wrong bits, refused: {failure}")
    if device is None and not refused:
        print("run.py: no GPU that CUDA can use here; nothing was measured")
        return NO_GPU
    if device is None:
        return 1
    if seconds := run.part("bits"):
        if not bits_are_right(run.binaries, run.env, seconds):
            print(f"run.py: the bits of {device} are wrong, or were not all tested in time: see above")
            return 1
        run.found["bits"] = True
    _, checks = run.lines_of("trainyard", "provider", "check", "--json", "--memory-mb", "1")
    run.found["bandwidth"] = next((line["gBPerS"] for line in checks if line.get("check") == "bandwidth"), float("inf")) * 1e9
    run.benches("steps", "cuda::step")
    run.benches("operators", f"({args.filter})|cuda::int8_peak" if args.filter else "-cuda::step")
    run.audit()
    run.torch()
    text = report(device, run.found)
    print(text, end="")
    pathlib.Path(args.out).write_text(text, encoding="utf-8")
    for what in run.early:
        print(f"run.py: ended early: {what}; the tables hold what it had measured")
    return 1 if run.early else 0


if __name__ == "__main__":
    sys.exit(main())
