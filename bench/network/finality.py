# SPDX-License-Identifier: Apache-2.0
"""Time to finality of validators on this machine's loopback, with empty blocks and with full ones; and with callers who
ask one of the nodes without pause.

usage: finality.py [--program PATH] [--keep]; FINALITY_BLOCKS (default 60) says how many blocks of each kind,
FINALITY_VALIDATORS (default 4) how many validators; from 10 on large bodies travel as shards. FINALITY_CALLERS (default 0)
is a number of connections: then the blocks are empty, and finality is measured without callers, with them, and beside
loops that take as much of the machine at the niceness of JSON-RPC's threads without talking to a node; three times.

The nodes measure it themselves (trainyard_consensus_finality_seconds): from having a block, as its leader or from the
proposal, to knowing it final. Quantiles are read from the buckets and interpolated within one.
"""
import json
import multiprocessing
import os
import pathlib
import re
import selectors
import socket
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))
from harness import MARKET, RpcError, expect, main, say, wait_until  # noqa: E402
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


def call_without_pause(port, connections, answered, data):
    """As many connections, each with one call on its way; gives way to everything else."""
    os.nice(19)
    calls = [("eth_getBlockByNumber", ["latest", True]), ("eth_call", [{"to": MARKET, "data": data}, "latest"])]
    requests = []
    for method, params in calls:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    chosen = selectors.DefaultSelector()
    for i in range(connections):
        at = socket.create_connection(("127.0.0.1", port))
        at.sendall(requests[i % 2])
        chosen.register(at, selectors.EVENT_READ, [bytearray(), requests[i % 2]])
    while True:
        for key, _ in chosen.select():
            got, request = key.data
            got += key.fileobj.recv(1 << 16)
            head, end, body = got.partition(b"\r\n\r\n")
            if end and len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head).group(1)):
                got.clear()
                answered.value += 1
                key.fileobj.sendall(request)


def spin():
    os.nice(10)
    while True:
        pass


def measure_beside(net, blocks, what, processes, answered=None):
    for process in processes:
        process.start()
    time.sleep(2)
    began, before = time.monotonic(), answered.value if answered else 0
    measure(net, blocks, what)
    if answered:
        say(f"  {(answered.value - before) / (time.monotonic() - began):.0f} answers a second")
    for process in processes:
        process.kill()
        process.join()


def measure_callers(net, blocks, connections):
    asked, answered = net.nodes[1], multiprocessing.Value("Q", 0, lock=False)
    port, data = int(asked.url.rpartition(":")[2]), net.rpc.keccak("jobCount()")[:10]
    for _ in range(3):
        measure(net, blocks, "alone")
        caller = multiprocessing.Process(target=call_without_pause, args=(port, connections, answered, data), daemon=True)
        measure_beside(net, blocks, f"{connections} callers at one node", [caller], answered)
        loops = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count())]
        measure_beside(net, blocks, f"{len(loops)} loops", loops)


def run(test):
    blocks = int(os.environ.get("FINALITY_BLOCKS", 60))
    net = Devnet(test, int(os.environ.get("FINALITY_VALIDATORS", 4))).start(4)
    if callers := int(os.environ.get("FINALITY_CALLERS", 0)):
        return measure_callers(net, blocks, callers)
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
