#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What bench/cuda/run.py makes of the output of its parts: devices, floors, rows that are missing, and no GPU."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/cuda"))
import run  # noqa: E402

CPU = '{"event":"selfTest","backend":"avx512","passed":true,"operators":51,"ms":70}'
REFUSED = '{"event":"selfTest","backend":"cuda NVIDIA X","passed":false,"operators":3,"ms":9,"failure":"linear 3x37x5"}'


def bench(name, ms, **counters):
    return {"name": name, "real_time": ms, "time_unit": "ms", **counters}


class BenchScript(unittest.TestCase):
    def test_a_floor_is_the_slower_of_bytes_and_products(self):
        rows, rate = run.operator_rows([bench("a/real_time", 2.0, macs=4e9, bytes=1e6),
                                        bench("b", 1.0, macs=0, bytes=1e9),
                                        bench("c", 8.0, macs=4e9, bytes=1e6),
                                        bench("broken", 1.0, macs=1, bytes=1, error_occurred=True)], 2e12)
        self.assertEqual(rate, 2e12)
        self.assertEqual([row[0] for row in rows], ["a", "b", "c"])
        self.assertEqual(rows[0][1:], [0.002, 0.002, "products"])
        self.assertEqual(rows[1][1:], [0.001, 0.0005, "bytes"])
        self.assertEqual(rows[2][2], 0.002)

    def test_steps_without_a_rival_or_a_result_say_so(self):
        sizes = list(run.STEPS.values())
        benches = [bench(run.step_name(sizes[0]), 10), bench(run.step_name(sizes[1]), 0, error_occurred=True,
                                                           error_message="the program does not fit")]
        rows = run.step_rows(benches, lambda sizes: None)
        self.assertEqual([row[1] for row in rows], [0.01, "the program does not fit", "not run"])
        text = run.report("cuda X", [], 1e15, 3e12, rows + [["fast", 0.5, 1.0]])
        self.assertIn("| gpt 0.9M | 10.0 ms | not here | |", text)
        self.assertIn("| fast | 500.0 ms | 1000.0 ms | 2.00 |", text)

    def fake(self, line, device_test, bench="exit 1"):
        folder = tempfile.mkdtemp()
        (pathlib.Path(folder) / "bin").mkdir()
        (pathlib.Path(folder) / "lib").mkdir()
        for name, body in {"trainyard": f"echo '{line}'", "bench_cuda": bench, "test_cuda_device": device_test}.items():
            path = pathlib.Path(folder) / "bin" / name
            path.write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
            os.chmod(path, 0o755)
        return subprocess.run([sys.executable, str(ROOT / "bench/cuda/run.py"), "--build", folder, "--out", folder + "/out",
                               "--no-torch"], stdout=subprocess.PIPE, text=True, check=False)

    def test_without_a_gpu_it_says_one_line_and_exits_with_77(self):
        done = self.fake(CPU, "exit 0")
        self.assertEqual(done.returncode, 77)
        self.assertEqual(done.stdout.count("\n"), 1)

    def test_wrong_bits_end_it_before_anything_is_timed(self):
        done = self.fake(REFUSED, "exit 0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("linear 3x37x5", done.stdout)

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
        self.assertIn("| cuda::b | 2.000 ms | 2.000 ms | 1.0 | products |", done.stdout)
        self.assertIn("ended early with 3", done.stdout)

    def test_it_names_each_way_of_products_that_was_refused_before_one_passed(self):
        lines = [json.loads(line) for line in (REFUSED, REFUSED.replace("false", "true").replace("X", "X (int8)"), CPU)]
        self.assertEqual(run.device_of(lines), ("cuda NVIDIA X (int8)", ["cuda NVIDIA X: linear 3x37x5"]))
        self.assertEqual(run.device_of(lines[2:]), (None, []))


if __name__ == "__main__":
    unittest.main()
