# SPDX-License-Identifier: Apache-2.0
"""A new node that knows one seed finds all others, knows them after a restart, and survives a damaged address book."""
import json

from harness import expect, expect_equal, free_ports, main, say, wait_until
from network import Devnet, Node


def without_endpoints(net, *names):
    """The genesis for those who shall not know where validators listen; the hash of block 0 stays."""
    genesis = json.loads((net.folder / "genesis.json").read_text())
    for validator in genesis["config"]["trainyard"]["validators"]:
        if not names or validator["p2pKey"] in names:
            validator["endpoint"] = ""
    path = net.test.folder / f"genesis-{'some' if names else 'none'}.json"
    path.write_text(json.dumps(genesis))
    return path


def members(net):
    return json.loads((net.folder / "genesis.json").read_text())["config"]["trainyard"]["validators"]


def address(validator):
    return validator["p2pKey"].removeprefix("0x") + "@" + validator["endpoint"]


def connected(node):
    return {peer["id"] for peer in node.rpc("admin_peers")}


def run(test):
    net = Devnet(test).start()
    http, p2p = free_ports(2)
    everybody = {member["p2pKey"] for member in members(net)}
    command = ["node", "--genesis", without_endpoints(net), "--datadir", test.folder / "new", "--http.port", http,
               "--p2p.addr", "127.0.0.1", "--p2p.port", p2p]
    process = test.process("newcomer", *command)
    seeds = ["--p2p.seeds", address(members(net)[0])]
    process.command += seeds
    process.start()
    node = Node(process, http)
    wait_until("the newcomer answers", node.is_up, 30)
    wait_until("it has found all four", lambda: connected(node) == everybody, 30)
    sources = {peer["id"]: peer["source"] for peer in node.rpc("admin_peers")}
    expect_equal(sources[members(net)[0]["p2pKey"]], "seed", "where the first is from")
    expect("book" in sources.values(), f"the others are from the book: {sources}")
    net.wait_growth([node], 3)
    own = node.rpc("admin_nodeInfo")["id"]
    expect_equal((test.folder / "new" / "nodekey").stat().st_mode & 0o077, 0, "rights of others on its key")
    expect(own in connected(net.nodes[1]), "the others see it")
    say("one seed led to all four")
    # Restarted without the seed it is the same node, and knows where the others are.
    expect_equal(process.stop(), 0, "exit code")
    process.command = process.command[:-2]
    process.start()
    wait_until("it answers again", node.is_up, 30)
    expect_equal(node.rpc("admin_nodeInfo")["id"], own, "its identity")
    wait_until("it finds them by its book", lambda: connected(node) == everybody, 30)
    say("the address book outlived a restart")
    # A torn file does no harm.
    expect_equal(process.stop(), 0, "exit code")
    book = test.folder / "new" / "peers"
    book.write_bytes(book.read_bytes()[:-7])
    process.command += seeds
    process.start()
    wait_until("it answers with a torn book", node.is_up, 30)
    expect("address book is damaged" in process.text(), "the log says so")
    wait_until("it finds them again by the seed", lambda: connected(node) == everybody, 30)
    say("a torn address book was begun anew")
    net.expect_agreement([*net.nodes, node])
    (test.folder / "broken").mkdir()
    (test.folder / "broken" / "nodekey").write_text("no key\n")
    refused = test.cli("node", "--genesis", command[2], "--datadir", test.folder / "broken", code=1)
    expect("nodekey: not a key; remove it" in refused.text, refused.text)


if __name__ == "__main__":
    main(run)
