#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What bench/cuda/run.py makes of the output of its parts: devices, floors, rows that are missing, time that is over, and no GPU."""
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/cuda"))
import run  # noqa: E402

CPU = '{"event":"selfTest","backend":"avx512","passed":true,"operators":51,"ms":70}'
REFUSED = '{"event":"selfTest","backend":"cuda NVIDIA X","passed":false,"operators":3,"ms":9,"failure":"linear 3x37x5"}'


def bench(name, ms, **counters):
    return {"name": name, "real_time": ms, "time_unit": "ms", **counters}


def peak(ms, macs):
    return {"name": "cuda::int8_peak/real_time", "real_time": ms, "time_unit": "ms", "peak_macs": macs}


class BenchScript(unittest.TestCase):
    def test_a_floor_is_the_slower_of_bytes_and_products(self):
        benches = [bench("a/real_time", 2.0, macs=4e9, bytes=1e6), bench("b", 1.0, macs=0, bytes=1e9),
                   bench("c", 8.0, macs=4e9, bytes=1e6), bench("broken", 1.0, macs=1, bytes=1, error_occurred=True)]
        self.assertEqual(run.peak_of(benches), (2e12, "of the fastest product"))
        rows = run.operator_rows(benches, 2e12, 2e12)
        self.assertEqual([row[0] for row in rows], ["a", "b", "c"])
        self.assertEqual(rows[0][1:], [0.002, 0.002, "products", 1.0])
        self.assertEqual(rows[1][1:], [0.001, 0.0005, "bytes", None])
        self.assertEqual(rows[2][2:], [0.002, "products", 0.25])

    def test_the_peak_is_that_of_tensor_cores_that_wait_for_nothing_where_it_was_measured(self):
        benches = [bench("a", 2.0, macs=4e9, bytes=1), peak(1.0, 8e9)]
        self.assertEqual(run.peak_of(benches)[0], 8e12)
        self.assertEqual(run.operator_rows(benches, 1e12, 8e12)[0][4], 0.25)
        self.assertEqual(run.peak_of([benches[1] | {"error_occurred": True}]), (float("inf"), "no product"))

    def test_model_flop_are_six_for_each_multiplied_parameter_and_half_of_attention(self):
        layers, width, sequence, vocabulary, sequences = sizes = run.STEPS["gpt 124M, 8 x 1024"]
        layer = 3 * width**2 + width**2 + 2 * 4 * width**2  # qkv, out, up and down
        attention = 2 * (2 * width * sequence / 2)  # scores and their use, each query sees half of the keys
        forward = layers * (2 * layer + attention) + 2 * width * vocabulary
        self.assertEqual(run.model_flop(sizes), 3 * forward * sequence * sequences)
        self.assertAlmostEqual(run.model_flop(sizes) / 51.7e-3 / 1e12, 126, delta=1)

    def test_steps_without_a_rival_or_a_result_say_so(self):
        sizes = list(run.STEPS.values())
        benches = [bench(run.step_name(sizes[0]), 10.0), bench(run.step_name(sizes[1]), 0, error_occurred=True,
                                                             error_message="the program does not fit")]
        rows = run.step_rows(benches, {(sizes[0], "eager"): 0.02, (sizes[0], "compiled"): 0.005})
        self.assertEqual([row[2] for row in rows[:3]], [0.01, "the program does not fit", "not run"])
        text = "\n".join(run.step_table(rows))
        self.assertIn("| 10.0 ms | 654 | 12.92 | 20.0 ms | 5.0 ms | 0.50 |", text)
        self.assertIn("| the program does not fit |  |  | not here | not here |  |", text)

    def test_products_stand_beside_those_of_the_rival_as_shares_of_the_peak(self):
        rows = run.operator_rows([bench(run.product_name(run.LARGE) + "/real_time", 1.0, macs=8192**3, bytes=1)], 1e12, 1e15)
        self.assertIn("1000 us, 1100 TOP/s, share of the peak 55 %", run.headline(rows, 1e15))
        rivals = run.rivals_in([{"torch": "2"}, {"product": list(run.LARGE), "s": 0.0005},
                                {"product": [8192, 768, 50257], "error": "not a multiple of 8"}])
        text = "\n".join(run.product_table(rows, rivals, 1e15))
        self.assertIn("| 1.000 ms, 1100 TOP/s | 55 % | 0.500 ms, 2199 TOP/s | 110 % |", text)
        self.assertIn("| 8192 x 768 x 50257 | not run |  | not a multiple of 8 |  |", text)
        self.assertIn("was not run", run.headline([], 1e15))

    def test_a_part_that_takes_too_long_is_ended_with_its_children_and_keeps_what_it_wrote(self):
        with tempfile.TemporaryDirectory() as folder:
            mark = pathlib.Path(folder) / "mark"
            start = time.monotonic()
            code, text = run.run_for(0.5, ["sh", "-c", f'echo \'{{"a": 1}}\'; (sleep 1.5; touch {mark}) & sleep 60'], os.environ)
            self.assertIsNone(code)
            self.assertLess(time.monotonic() - start, 1.4)
            self.assertEqual(run.json_lines(text + '{"cut": '), [{"a": 1}])
            time.sleep(1.5)
            self.assertFalse(mark.exists())

    def fake(self, line, device_test, bench="exit 1", audit="exit 1", parts="bits,operators"):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        (pathlib.Path(folder) / "bin").mkdir()
        (pathlib.Path(folder) / "lib").mkdir()
        for name, body in {"trainyard": f"echo '{line}'", "bench_cuda": bench, "bench_audit": audit,
                           "test_cuda_device": device_test}.items():
            path = pathlib.Path(folder) / "bin" / name
            path.write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
            os.chmod(path, 0o755)
        return subprocess.run([sys.executable, str(ROOT / "bench/cuda/run.py"), "--build", folder, "--out", folder + "/out",
                               "--parts", parts], stdout=subprocess.PIPE, text=True, check=False)

    def test_without_a_gpu_it_says_one_line_and_exits_with_77(self):
        done = self.fake(CPU, "exit 0")
        self.assertEqual(done.returncode, 77)
        self.assertEqual(done.stdout.count("\n"), 1)

    def test_wrong_bits_end_it_before_anything_is_timed(self):
        done = self.fake(REFUSED, "exit 0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("linear 3x37x5", done.stdout)

    def test_each_shard_of_the_device_tests_counts(self):
        passed = REFUSED.replace("false", "true")
        for shard in range(run.SHARDS):
            done = self.fake(passed, f'echo "of $GTEST_TOTAL_SHARDS"; [ $GTEST_SHARD_INDEX != {shard} ]')
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"of {run.SHARDS}\n", done.stdout)
            self.assertIn("bits of cuda NVIDIA X are wrong", done.stdout)

    def test_a_cold_audit_is_shown_part_by_part(self):
        audit = {"audit": "cuda X", "coldS": 5.0, "share": 1.25, "segmentS": 4.0, "stepS": 0.2, "startS": 1.0,
                 "bytes": 2600000000}
        parts = {"audit": "cuda X", "travelS": 2.0, "openS": 0.1, "bundleS": 1.5, "loadS": 0.3, "unitS": 0.05, "stateS": 0.4}
        device = REFUSED.replace("false", "true")
        done = self.fake(device, "exit 0", audit=f"echo noise; echo '{json.dumps(audit)}'; echo '{json.dumps(parts)}'", parts="audit")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("on cuda X: 5.00 s to the verdict, 125 % of a segment of 20 steps of 200 ms", done.stdout)
        self.assertIn("| of it, the micro-batch and its root | 0.050 |", done.stdout)
        self.assertIn("nothing else was tested", done.stdout)
        done = self.fake(device, "exit 0", audit=f"echo '{json.dumps(audit)}'; exit 1", parts="audit")
        self.assertIn("| process, back end and self-test | 1.000 |", done.stdout)
        self.assertNotIn("| request to the process |", done.stdout)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended early: audit (bench_audit gave 1)", done.stdout)

    def test_a_bench_that_dies_leaves_what_it_had_measured(self):
        passed = REFUSED.replace("false", "true") + '\n{"check":"bandwidth","gBPerS":2000.0}'
        rows = [f'    {{\n      "name": "{name}/real_time", "real_time": 2, "time_unit": "ms", "macs": 4e9, "bytes": 1e6\n    }}'
                for name in ("cuda::a", "cuda::b")]
        text = '{\n  "context": {\n  },\n  "benchmarks": [\n' + ",\n".join(rows)
        for cut, names in (("", 2), (',\n    {\n      "name": "cuda::c', 2), (None, 1)):
            written = text[:-3] if cut is None else text + cut
            self.assertEqual(len(run.benches_in(written)), names)
        self.assertEqual(len(run.benches_in(text + "\n  ]\n}\n")), 2)
        self.assertEqual(run.benches_in(""), [])
        done = self.fake(passed, "exit 0", f"for a; do case $a in --benchmark_out=*) echo '{text}' >${{a#*=}};; esac; done; "
                                           'case $LD_LIBRARY_PATH in */lib*) exit 3;; esac')
        self.assertEqual(done.returncode, 1)
        self.assertIn("| cuda::b | 2.000 ms | 2.000 ms | 1.0 | products | 100 % |", done.stdout)
        self.assertIn("ended early: operators (bench_cuda gave 3)", done.stdout)

    def test_it_names_each_way_of_products_that_was_refused_before_one_passed(self):
        lines = [json.loads(line) for line in (REFUSED, REFUSED.replace("false", "true").replace("X", "X (int8)"), CPU)]
        self.assertEqual(run.device_of(lines), ("cuda NVIDIA X (int8)", ["cuda NVIDIA X: linear 3x37x5"]))
        self.assertEqual(run.device_of(lines[2:]), (None, []))


class TorchStep(unittest.TestCase):
    """What torch_step.py prints, with functions in the place of measurements."""

    def lines(self, seconds, shapes, product, step):
        fake = mock.MagicMock()
        fake.nn.Module = object
        fake.__version__ = "0"
        with mock.patch.dict(sys.modules, {"torch": fake, "torch.nn": fake.nn}):
            spec = importlib.util.spec_from_file_location("torch_step", ROOT / "bench/cuda/torch_step.py")
            rival = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(rival)
        rival.product_seconds, rival.step_seconds, rival.COMPILE_SECONDS_MAX = product, step, 1
        with mock.patch.object(sys, "argv", ["torch_step.py", str(seconds), *shapes]), \
                contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(rival.main(), 0)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def test_products_then_eager_steps_then_compiled_ones_each_within_its_time(self):
        def product(n, i, o):
            if o == 7:
                raise RuntimeError("7 is no multiple of 8\nsecond line")
            return 0.5

        def step(sizes, is_compiled):
            if is_compiled and sizes[0] == 1:
                time.sleep(5)
            return 2.0 if is_compiled else 1.0

        lines = self.lines(20, ["1,8,64,9,2", "8,8,8", "8,8,7", "2,8,64,9,2"], product, step)
        self.assertEqual(lines[1:], [
            {"product": [8, 8, 8], "s": 0.5}, {"product": [8, 8, 7], "error": "7 is no multiple of 8"},
            {"step": [1, 8, 64, 9, 2], "mode": "eager", "s": 1.0}, {"step": [2, 8, 64, 9, 2], "mode": "eager", "s": 1.0},
            {"step": [1, 8, 64, 9, 2], "mode": "compiled", "error": "not in time"},
            {"step": [2, 8, 64, 9, 2], "mode": "compiled", "s": 2.0}])
        self.assertEqual(run.rivals_in(lines)[(2, 8, 64, 9, 2), "compiled"], 2.0)
        self.assertEqual([line.get("error") for line in self.lines(0, ["8,8,8"], product, step)[1:]], ["not in time"])


class Sanitize(unittest.TestCase):
    """tests/cuda/sanitize.sh with a script in the place of compute-sanitizer."""

    OK = "echo '[       OK ] DeviceProducts.passes_the_self_test/x'; "
    CLEAN = "case $2 in racecheck) echo '========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)';; " \
            "*) echo '========= ERROR SUMMARY: 0 errors';; esac; "

    def sanitize(self, tool, seconds=20):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "bin").mkdir()
            for name, body in {"bin/test_cuda_device": "", "compute-sanitizer": tool}.items():
                path = pathlib.Path(folder) / name
                path.write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
                os.chmod(path, 0o755)
            done = subprocess.run([ROOT / "tests/cuda/sanitize.sh", "--build", folder, "--seconds", str(seconds), "memcheck",
                                   "racecheck"], env=os.environ | {"PATH": folder + ":" + os.environ["PATH"]},
                                  stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout

    def test_no_findings_are_one_line_for_each_tool(self):
        self.assertEqual(self.sanitize(self.OK + self.CLEAN), (0, "".join(
            f"{tool}: 0 errors, every operator with 6 ways of making products\n" for tool in ("memcheck", "racecheck"))))

    def test_findings_of_one_way_and_one_tool_are_shown(self):
        hazards = "echo '========= Error: Race reported'; echo '========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)'"
        code, text = self.sanitize(f"{self.OK} if [ $2$GTEST_SHARD_INDEX = racecheck3 ]; then {hazards}; else {self.CLEAN} fi")
        self.assertEqual(code, 1)
        self.assertTrue(text.startswith("memcheck: 0 errors"), text)
        self.assertIn("racecheck: 2 findings\n", text)
        self.assertIn("Race reported", text)

    def test_a_test_that_fails_hangs_or_says_nothing_is_no_pass(self):
        self.assertEqual(self.sanitize(self.CLEAN + "echo why; exit 1")[0], 1)
        self.assertIn("why", self.sanitize(self.CLEAN + "echo why; exit 1")[1])
        self.assertEqual(self.sanitize(self.OK)[0], 1)
        code, text = self.sanitize(self.OK + "exec sleep 30", 1)
        self.assertEqual((code, text), (1, "memcheck: not finished in 1 s\nracecheck: not finished in 1 s\n"))

    def test_without_a_device_nothing_was_checked(self):
        code, text = self.sanitize("echo 'NOT RUN ON A DEVICE: no driver'; echo '[  SKIPPED ] x'; exit 1")
        self.assertEqual(code, 77)
        self.assertIn("memcheck: NOT RUN: NOT RUN ON A DEVICE: no driver\n", text)

    def test_a_way_that_the_device_lacks_is_left_out(self):
        code, text = self.sanitize(f"[ $GTEST_SHARD_INDEX = 2 ] && {{ echo '[  SKIPPED ] x'; exit 0; }}; {self.OK} {self.CLEAN}")
        self.assertEqual(code, 0)
        self.assertIn("memcheck: 0 errors, every operator with 5 ways", text)


if __name__ == "__main__":
    unittest.main()
