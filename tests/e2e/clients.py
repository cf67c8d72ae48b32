# SPDX-License-Identifier: Apache-2.0
"""viem and ethers deploy, call, read logs and subscribe, then fund a job and see it settle, which the node's page shows; the scripts are in clients/."""
import json
import pathlib
import shutil
import socket
import subprocess

from harness import COIN, Failure, Skip, expect_equal, main, say, tail
from network import Devnet, tiny_gpt

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
SEGMENTS, STEPS = 2, 3


def has_registry():
    try:
        socket.create_connection(("registry.npmjs.org", 443), 5).close()
        return True
    except OSError:
        return False


def need_packages():
    if shutil.which("node") is None:
        raise Skip("the client tests need Node.js, and there is none")
    if all((CLIENTS / "node_modules" / name).is_dir() for name in ("viem", "ethers", "jsdom")):
        return
    if shutil.which("npm") is None or not has_registry():
        raise Skip("viem, ethers and jsdom are not installed and cannot be fetched; run `npm ci` in tests/e2e/clients")
    say("npm ci")
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--omit=optional"], cwd=CLIENTS, capture_output=True, timeout=200)
    if done.returncode != 0:
        raise Skip("npm ci failed:\n" + tail(done.stdout + done.stderr))


def client(net, script, *flags):
    """Runs one client script against node 0 over HTTP and WebSocket."""
    url = net.nodes[0].url
    command = ["node", script, "--http", url, "--ws", url.replace("http", "ws"), "--timeout", "100", *flags]
    done = net.test.cli(*command[1:], program=shutil.which("node"), cwd=CLIENTS, seconds=120, code=None)
    if done.code != 0:
        raise Failure(f"{script}: exit code {done.code}\n{tail(done.text, 30)}")
    say(done.out.splitlines()[-1])


def publish(net, path):
    status, body = net.nodes[0].put_blob(path.read_bytes())
    expect_equal(status, 201, f"HTTP status of PUT /blob for {path.name}")
    return json.loads(body)["id"]


def write_spec(net):
    """A job as job.mjs wants it, with its blobs stored at node 0."""
    data, program = net.data(), net.test.folder / "tiny.program"
    said = net.test.json("program", "new", "gpt", "--data", data, "--out", program, "--steps", SEGMENTS * STEPS,
                         "--segment", STEPS, *tiny_gpt())
    # What its auditors do for one unit, by the chain's own terms.
    quoted = net.test.json("job", "submit", "--rpc", net.nodes[0].url, "--key", "dev:0", "--data", data, "--program", program,
                           "--price", 1, "--dry-run")
    spec = {
        "program": publish(net, program), "programId": said["programId"], "data": publish(net, data),
        "segments": SEGMENTS, "stepsPerSegment": STEPS, "microBatches": 2, "segmentBlocks": 480,
        "pricePerSegment": str(COIN), "auditFee": str(COIN // 100), "unitWork": quoted["unitWork"], "licence": "CC0-1.0",
    }
    path = net.test.folder / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def write_chain(net):
    """The module that `trainyard genesis wallet --viem` prints, where it finds viem; and what wallets get names the same chain."""
    ask = ["genesis", "wallet", "--rpc", net.nodes[0].url]
    (net.test.folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    path = net.test.folder / "chain.mjs"
    path.write_text(net.test.cli(*ask, "--viem").out)
    wallet = json.loads(net.test.cli(*ask).out)
    expect_equal(wallet["method"], "wallet_addEthereumChain", "method for wallets")
    expect_equal(wallet["params"][0]["chainId"], net.rpc("eth_chainId"), "chain for wallets")
    said = net.test.cli(*ask, "--url", "http://rpc.example.org").err
    expect_equal("wallets refuse http://rpc.example.org" in said, True, "a warning about a URL without TLS")
    return path


def run(test):
    need_packages()
    net = Devnet(test).start()
    client(net, "viem.mjs", "--chain", str(write_chain(net)))
    client(net, "ethers.mjs")
    net.provider("provider", 1).start()
    client(net, "job.mjs", "--spec", str(write_spec(net)))
    seen = net.test.folder / "seen.json"
    seen.write_text(json.dumps({"jobs": 1, "complete": 0, "segments": SEGMENTS}))
    client(net, "page.mjs", "--chain", str(seen))
    net.expect_agreement()


main(run)
