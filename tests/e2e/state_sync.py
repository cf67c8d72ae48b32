# SPDX-License-Identifier: Apache-2.0
"""A new node takes the state of an epoch's last block from its peers, is killed twice meanwhile, goes on, and follows; so does a validator."""
import json
import random
import re
import shutil
import time
import urllib.request

from harness import DEV, STAKING, RpcError, expect, expect_equal, free_ports, main, say, wait_until
from network import Devnet, Node

CODES, CODE_BYTES = 1000, 24_000  # 24 MB of state, so that there is a middle


def fill(genesis):
    """Contracts that nobody calls, each with a code of its own, into a genesis file."""
    content, tries = json.loads(genesis.read_text()), random.Random(1)
    for i in range(CODES):
        content["alloc"][f"0x{0xc0de0000 + i:040x}"] = {"balance": "0x1", "code": "0x00" + tries.randbytes(CODE_BYTES).hex()}
    del content["hash"]  # it is that of the file before
    genesis.write_text(json.dumps(content))


def newcomer(test, net, name, *flags):
    port = free_ports(1)[0]
    process = test.process(name, "node", "--genesis", net.folder / "genesis.json", "--datadir", test.folder / name,
                           "--http.port", port, "--p2p.addr", "127.0.0.1", "--p2p.port", 0, "--sync", "state", *flags)
    return Node(process, port)


def chunks_on_disk(folder):
    return [path for path in folder.glob("sync/*/chunk-*") if path.suffix != ".new"]


def kill_in_the_middle(test, node):
    """The number of chunks that were whole then."""
    folder = test.folder / node.process.name
    node.process.start()
    end = time.monotonic() + 60
    while len(chunks_on_disk(folder)) < 3:
        expect(time.monotonic() < end and node.process.is_alive(), "chunks come")
    node.process.kill()
    count = len(chunks_on_disk(folder))
    say(f"killed with {count} chunks on disk")
    expect("state synced" not in node.process.text(), "it was killed before the end")
    return count


def number(text, name):
    found = re.findall(rf"{name}=(\d+)", text)
    expect(found, f"the log says {name}")
    return int(found[-1])


def line_of(node, words):
    return next(line for line in reversed(node.process.text().splitlines()) if words in line)


def goes_on(test, node, kept):
    """Killed once more, while the store is made; then it comes to its end."""
    log = node.process.text
    node.process.start()
    wait_until("all chunks are here", lambda: "all chunks are here" in log(), 60, 0.002)
    was_done = "state synced" in log()
    node.process.kill()
    here, fetched = number(line_of(node, "manifest of the snapshot is here"), "chunks_here"), number(line_of(node, "all chunks are here"), "bytes")
    total, chunks = number(line_of(node, "snapshot chosen"), "bytes"), number(line_of(node, "snapshot chosen"), "chunks")
    expect(here >= kept, f"{kept} chunks were on disk, {here} were taken up again")
    expect(fetched < total * (1 - here / chunks) + 2 * 10**6, f"{here} chunks are not fetched again: {fetched} of {total} bytes")
    say(f"{here} of {chunks} chunks taken up, {fetched} of {total} bytes fetched; killed again {'after' if was_done else 'before'} the store had its head")
    node.process.start()
    wait_until("the state is synced", lambda: "state synced" in log(), 60)
    return number(line_of(node, "state synced"), "height")


def follows(net, node, height):
    wait_until("it answers", node.is_up, 30)
    goal = net.rpc.finalised() + 3
    wait_until(f"it reaches {goal}", lambda: node.rpc.finalised() >= goal, 60)
    expect_equal(node.rpc("eth_syncing"), False, "eth_syncing")
    top = min(goal, net.rpc.finalised())
    for who in [*DEV, f"0x{0xc0de0007:040x}", STAKING]:
        expect_equal(node.rpc.balance(who, hex(top)), net.rpc.balance(who, hex(top)), f"balance of {who}")
    code = f"0x{0xc0de0001:040x}"
    expect_equal(node.rpc("eth_getCode", code, hex(top)), net.rpc("eth_getCode", code, hex(top)), "code")
    for who, slots in [(STAKING, ["0x0", "0x1"]), (DEV[0], [])]:
        expect_equal(node.rpc("eth_getProof", who, slots, hex(top)), net.rpc("eth_getProof", who, slots, hex(top)), "proof")
    expect_equal(node.rpc("eth_getBlockByNumber", hex(top), False)["hash"],
                 net.rpc("eth_getBlockByNumber", hex(top), False)["hash"], "block")
    try:
        expect(False, f"it has no body from before the snapshot: {node.rpc('eth_getBlockByNumber', hex(height - 1), False)}")
    except RpcError as gone:
        expect("pruned" in str(gone), f"it says that the body is gone: {gone}")
    for epoch in range(height // 64):  # proven on the way, and so known to the newcomer
        expect_equal(node.rpc("yard_boundary", hex(epoch))["header"], net.rpc("yard_boundary", hex(epoch))["header"], "boundary")
    say(f"it began at block {height} and follows at {top}")


def a_validator_comes_back(net):
    """Its chain is lost, its keys and votes are not: it takes a state, votes and leads again, over the end of an epoch."""
    node = net.nodes[3]
    expect_equal(node.process.stop(), 0, "exit code of node3")
    shutil.rmtree(net.folder / "node-3" / "data" / "chain")
    node.process.command += ["--sync", "state"]
    node.process.start()
    wait_until("node3 has the state", lambda: "state synced" in node.process.text(), 60)
    began = number(line_of(node, "state synced"), "height")
    wait_until("node3 answers", node.is_up, 30)
    wait_until("node3 votes", lambda: node.rpc.finalised() > began and not node.rpc("admin_consensusState").get("whyNotVoting"), 60)
    wait_until("node3 leads", lambda: metric(node, "trainyard_consensus_proposals_total") > 0, 60)
    _, heights = net.wait_growth(net.nodes, 64 + 2, 60)
    top = min(heights)
    hashes = {each.rpc("eth_getBlockByNumber", hex(top), False)["hash"] for each in net.nodes}
    expect_equal(len(hashes), 1, f"blocks at height {top}")
    say(f"a validator took the state of block {began} and votes and leads at {top}")


def metric(node, name):
    with urllib.request.urlopen(node.url + "/metrics", timeout=10) as answer:
        return float(re.search(rf"^{name} (\S+)", answer.read().decode(), re.M).group(1))


def refuses_another_boundary(test, net, epoch):
    """The trusted one is not that of the peers: nothing is taken from them."""
    node = newcomer(test, net, "misled", "--trust", f"{epoch}:0x{'11' * 32}")
    node.process.start()
    wait_until("it says what is wrong", lambda: "which is not the trusted one" in node.process.text(), 30)
    expect("state synced" not in node.process.text(), "no state is taken")
    expect_equal(node.process.stop(), 0, "exit code of the misled")


def run(test):
    net = Devnet(test)
    fill(net.folder / "genesis.json")
    net.start()
    source = net.nodes[1].process
    wait_until("a snapshot of the first epoch", lambda: "snapshot" in source.text() and re.search(r"snapshot.*height=\d+", source.text()), 90)
    node = newcomer(test, net, "newcomer")
    kept = kill_in_the_middle(test, node)
    height = goes_on(test, node, kept)
    follows(net, node, height)
    expect_equal(node.process.stop(), 0, "exit code of the newcomer")
    expect(not (test.folder / "newcomer" / "sync").exists(), "what was fetched is removed")
    node.process.start()
    wait_until("it starts again", node.is_up, 30)
    net.wait_growth([node], 2)
    boundary = net.rpc("eth_getBlockByNumber", hex(64), False)
    other = newcomer(test, net, "trusting", "--trust", f"0:{boundary['hash']}")
    other.process.start()
    wait_until("the state is synced from a trusted boundary", lambda: "state synced" in other.process.text(), 60)
    follows_from = number(line_of(other, "state synced"), "height")
    wait_until("it follows", lambda: other.rpc.finalised() > follows_from, 60)
    refuses_another_boundary(test, net, 0)
    expect(metric(net.nodes[0], "trainyard_snapshot_age_seconds") < 60, "the age of the newest snapshot")
    a_validator_comes_back(net)


if __name__ == "__main__":
    main(run)
