# SPDX-License-Identifier: Apache-2.0
"""Imports the chain of the RPC vectors, serves it, and runs every exchange: the response must be the expected one, or of
its shape where the exchange says so. Prints one line for each that differs, then `N passed, M failed`.

usage: rpc_exchanges.py PROGRAM FOLDER [--known FILE]; FILE lists exchanges and methods that may differ, one a line
with a reason after #.
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request


def exchanges(path):
    """The pairs of request and expected response of one file, and whether only the shape counts."""
    request, shape_only, pairs = None, False, []
    for line in path.read_text().splitlines():
        if line.startswith("//"):
            shape_only = shape_only or "speconly:" in line
        elif line.startswith(">> "):
            request = line[3:]
        elif line.startswith("<< "):
            pairs.append((request, json.loads(line[3:])))
    return pairs, shape_only


def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def same(expected, found, shape_only):
    if "error" in expected:  # the text is geth's; the code is what clients look at
        return "error" in found and expected["error"].get("code") == found["error"].get("code")
    return shape(expected) == shape(found) if shape_only else expected == found


def ask(url, request):
    post = urllib.request.Request(url, request.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(post, timeout=30) as answer:
        return json.loads(answer.read())


def run(url, folder, known):
    passed, failed, surprises = 0, 0, []
    for path in sorted(folder.glob("*/*.io")):
        name = f"{path.parent.name}/{path.stem}"
        pairs, shape_only = exchanges(path)
        difference = None
        for request, expected in pairs:
            found = ask(url, request)
            if not same(expected, found, shape_only):
                difference = f"{name}: expected {json.dumps(expected)[:300]}, found {json.dumps(found)[:300]}"
        if difference is None:
            passed += 1
        elif name in known or path.parent.name in known:
            failed += 1
        else:
            failed += 1
            surprises.append(difference)
    for difference in surprises:
        print(difference)
    print(f"{passed} passed, {failed} failed")
    return not surprises and passed > 0


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    known = set()
    if "--known" in sys.argv:
        lines = pathlib.Path(sys.argv[sys.argv.index("--known") + 1]).read_text().splitlines()
        known = {line.split("#")[0].strip() for line in lines} - {""}
    with tempfile.TemporaryDirectory() as data:
        chain = ["--genesis", folder / "genesis.json", "--datadir", data]
        subprocess.run([program, "-q", "import", *chain, "--no-seal-check", folder / "chain.rlp"], check=True)
        server = subprocess.Popen([program, "serve", *chain, "--http-port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            good = run(server.stdout.readline().strip(), folder, known)
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(30)
    return 0 if good and code == 0 else 1


sys.exit(main())
