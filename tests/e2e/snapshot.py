# SPDX-License-Identifier: Apache-2.0
"""A new node starts from the snapshot of a stopped one, over the end of an epoch, and a damaged snapshot is refused."""
import json

from harness import DEV, expect, expect_equal, free_ports, main, say, wait_until
from network import Devnet, Node


def export(test, net):
    """The folder, and the block it is of."""
    source = net.nodes[3]
    wait_until("a block of the second epoch is final", lambda: source.rpc.finalised() > length(net) + 4, 60)
    expect_equal(source.process.stop(), 0, "exit code of node3")
    folder = test.folder / "snapshot"
    written = test.json("snapshot", "export", "--datadir", net.folder / "node-3" / "data", "--out", folder)
    source.process.start()
    return folder, written


def length(net):
    return int(json.loads((net.folder / "genesis.json").read_text())["config"]["trainyard"]["epochLength"])


def rejects_damage(test, folder):
    chunk = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    good = chunk.read_bytes()
    chunk.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    seen = test.cli("snapshot", "verify", folder, code=1)
    expect("error" in seen.text, f"a flipped bit is refused: {seen.text}")
    say(f"a flipped bit: {seen.err.strip().splitlines()[-1]}")
    chunk.write_bytes(good)
    wrong = test.cli("snapshot", "verify", folder, "--hash", "0x" + "11" * 32, code=1)
    expect("error" in wrong.text, f"a snapshot of another block is refused: {wrong.text}")
    test.cli("snapshot", "verify", folder)


def start_from(test, net, folder, block_hash):
    data, genesis = test.folder / "newcomer", net.folder / "genesis.json"
    command = ["snapshot", "import", folder, "--datadir", data, "--genesis", genesis, "--hash", block_hash]
    test.cli(*command)
    test.cli(*command, code=1)  # the folder holds a chain already
    port = free_ports(1)[0]
    process = test.process("newcomer", "node", "--genesis", genesis, "--datadir", data, "--http.port", port,
                           "--p2p.addr", "127.0.0.1", "--p2p.port", 0).start()
    return Node(process, port)


def run(test):
    net = Devnet(test).start()
    folder, written = export(test, net)
    say(f"exported: {written}")
    rejects_damage(test, folder)
    height = int(written["height"])
    block = net.rpc("eth_getBlockByNumber", hex(height), False)
    node = start_from(test, net, folder, block["hash"])
    wait_until("the newcomer answers", node.is_up, 30)
    goal = net.rpc.finalised() + 3
    wait_until(f"the newcomer reaches {goal}", lambda: node.rpc.finalised() >= goal, 60)
    top = min(goal, net.rpc.finalised())
    for who in DEV:
        expect_equal(node.rpc.balance(who, hex(top)), net.rpc.balance(who, hex(top)), f"balance of {who}")
    expect_equal(node.rpc("eth_getBlockByNumber", hex(top), False)["hash"], net.rpc("eth_getBlockByNumber", hex(top), False)["hash"], "block")
    expect_equal(node.process.stop(), 0, "exit code of the newcomer")
    say(f"a new node began at block {height} and followed to {goal}")


if __name__ == "__main__":
    main(run)
