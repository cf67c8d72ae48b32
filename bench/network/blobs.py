# SPDX-License-Identifier: Apache-2.0
"""What a validator pays to have a blob for its verifier: from its own node over HTTP, and mapped from the store's file.

usage: blobs.py [--program PATH] [--keep]; BLOBS_MB (default 1960, the state of gpt 124M) says how large it is.

One validator on loopback and bench_blobs beside the program. Processor time is that of the process that takes the blob,
without its node's; memory is what of it stays its own while it has the blob, of which the system can take nothing back.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))
from harness import expect_equal, main, say  # noqa: E402
from network import Devnet  # noqa: E402


def run(test):
    megabytes = int(os.environ.get("BLOBS_MB", 1960))
    net = Devnet(test, 1).start(2)
    say(f"{megabytes} MB\n| way | seconds | of processor | MB/s | own memory, MiB |\n| --- | --- | --- | --- | --- |")
    bench = pathlib.Path(test.program).parent / "bench_blobs"
    measured = subprocess.run([bench, net.nodes[0].url, str(megabytes)], timeout=600, check=False)
    expect_equal(measured.returncode, 0, "exit code of bench_blobs")


if __name__ == "__main__":
    main(run)
