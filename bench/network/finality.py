# SPDX-License-Identifier: Apache-2.0
"""Time to finality of validators on this machine's loopback, with empty blocks and with full ones.

usage: finality.py [--program PATH] [--keep]; FINALITY_BLOCKS (default 60) says how many blocks of each kind,
FINALITY_VALIDATORS (default 4) how many validators; from 10 on large bodies travel as shards.

The nodes measure it themselves (trainyard_consensus_finality_seconds): from having a block, as its leader or from the
proposal, to knowing it final. Quantiles are read from the buckets and interpolated within one.
"""
import os
import pathlib
import re
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))
from harness import RpcError, expect, main, say, wait_until  # noqa: E402
from network import Devnet  # noqa: E402
from signing import KEYS, transaction  # noqa: E402

NAME = "trainyard_consensus_finality_seconds"
DATA_BYTES = 115_000  # of one transaction; the pool takes at most 128 KiB
PER_BLOCK = 9


def buckets(net):
    """Upper bound -> number of blocks within it, over all nodes."""
    sums = {}
    for node in net.nodes:
        with urllib.request.urlopen(node.url + "/metrics", timeout=10) as answer:
            for bound, count in re.findall(NAME + r'_bucket\{le="([^"]+)"\} (\S+)', answer.read().decode()):
                sums[float(bound)] = sums.get(float(bound), 0) + float(count)
    return sums


def quantile(counts, share):
    """In milliseconds; None if it lies above the last bound."""
    wanted, below, low = share * counts[float("inf")], 0, 0.0
    for bound in sorted(counts):
        if counts[bound] >= wanted:
            if bound == float("inf"):
                return None
            return 1000 * (low + (bound - low) * (wanted - below) / (counts[bound] - below))
        below, low = counts[bound], bound


def measure(net, blocks, what):
    before, first = buckets(net), net.rpc.finalised()
    wait_until(f"{blocks} further final blocks", lambda: net.rpc.finalised() >= first + blocks, 10 + blocks)
    after, last = buckets(net), net.rpc.finalised()
    counts = {bound: after[bound] - before[bound] for bound in after}
    sizes = [int(net.rpc("eth_getBlockByNumber", hex(n), False)["size"], 16) for n in range(first + 1, last + 1)]
    times = [quantile(counts, share) for share in (0.5, 0.9, 0.99)]
    p50, p90, p99 = ("above the last bucket" if t is None else f"{t:.1f} ms" for t in times)
    say(f"{what}: {last - first} blocks of {sum(sizes) / len(sizes) / 1000:.1f} kB on average, "
        f"finality p50 {p50}, p90 {p90}, p99 {p99}")


def fill(net, blocks):
    """Gives the pool enough large transactions for so many blocks: signed first, sent as fast as they are taken."""
    chain_id = int(net.rpc("eth_chainId"), 16)
    node_hash = lambda data: bytes.fromhex(net.rpc("web3_sha3", "0x" + data.hex())[2:])  # noqa: E731
    data = bytes(1 + i % 255 for i in range(DATA_BYTES))
    for nonce in range(blocks):
        for i in range(PER_BLOCK):
            raw, _ = transaction(KEYS[i], chain_id, nonce, "0x" + "77" * 20, data=data, gas=5_000_000, fee=10**13,
                                 keccak=node_hash)
            yield net.nodes[i % len(net.nodes)], raw


def send(signed):
    for node, raw in signed:
        while True:
            try:
                node.rpc("eth_sendRawTransaction", raw)
                break
            except RpcError as error:
                expect("full" in str(error), f"a transaction is taken, or the pool is full: {error}")
                time.sleep(0.05)


def run(test):
    blocks = int(os.environ.get("FINALITY_BLOCKS", 60))
    net = Devnet(test, int(os.environ.get("FINALITY_VALIDATORS", 4))).start(4)
    measure(net, blocks, "empty")
    signed = list(fill(net, blocks))
    say(f"{len(signed)} transactions of {DATA_BYTES} bytes signed")
    sender = threading.Thread(target=send, args=(signed,))
    sender.start()
    wait_until("a full block", lambda: int(net.rpc("eth_getBlockByNumber", "finalized", False)["size"], 16) > 10**6, 30)
    measure(net, blocks // 2, "full")
    sender.join()
    net.expect_agreement()
    expect(net.rpc.finalised() > blocks, "blocks were final")


if __name__ == "__main__":
    main(run)
