# SPDX-License-Identifier: Apache-2.0
"""A validator that talks to its two sentries alone votes and leads through them; nobody learns where it is."""
import time

from discovery import members, without_endpoints
from harness import expect, expect_equal, free_ports, main, say, wait_until
from network import Devnet, Node


def start_sentry(test, net, genesis, name, hidden):
    http, p2p = free_ports(2)
    process = test.process(name, "node", "--genesis", genesis, "--datadir", test.folder / name, "--http.port", http,
                           "--p2p.addr", "127.0.0.1", "--p2p.port", p2p, "--p2p.private", hidden.removeprefix("0x"))
    process.start()
    node = Node(process, http)
    wait_until(f"{name} answers", node.is_up, 30)
    node.address = node.rpc("admin_nodeInfo")["id"].removeprefix("0x") + f"@127.0.0.1:{p2p}"
    return node


def stands_still(net, nodes, seconds=6):
    """What was on its way has two seconds; then nothing more becomes final."""
    time.sleep(2)
    before = net.heights(nodes)
    time.sleep(seconds)
    return max(after - then for after, then in zip(net.heights(nodes), before)) == 0


def hide_one(test, net, index):
    """Every node's settings name a genesis without the endpoint of one; two sentries carry for that. Returns all three."""
    hidden = members(net)[index]
    # Folders have another order than the genesis, which is sorted by operator.
    port = hidden["endpoint"].rsplit(":", 1)[1]
    folders = [(net.folder / f"node-{i}" / "node.toml").read_text() for i in range(len(net.nodes))]
    at = next(i for i, text in enumerate(folders) if f"port = {port}" in text)
    genesis = without_endpoints(net, hidden["p2pKey"])
    sentries = [start_sentry(test, net, genesis, f"sentry{i}", hidden["p2pKey"]) for i in range(2)]
    for node in net.nodes:
        node.process.command += ["--genesis", str(genesis)]
    net.nodes[at].process.command += ["--p2p.sentries", ",".join(sentry.address for sentry in sentries)]
    return hidden, net.nodes[at], sentries


def votes(node):
    return node.rpc("admin_consensusState")["whyNotVoting"] is None


def led_by(node, operator, bytes_least=0):
    """A final block of that leader, at least so large."""
    for height in range(1, node.rpc.finalised() + 1):
        block = node.rpc("eth_getBlockByNumber", hex(height), False)
        if block["miner"] == operator.lower() and int(block["size"], 16) >= bytes_least:
            return height
    return None


def run(test):
    net = Devnet(test)
    hidden, shy, sentries = hide_one(test, net, 3)
    net.start(heights=4)
    open_ones = [node for node in net.nodes if node is not shy]
    wait_until("the hidden one votes", lambda: votes(shy), 60)
    expect_equal({peer["id"].removeprefix("0x") for peer in shy.rpc("admin_peers")},
                 {sentry.address.split("@")[0] for sentry in sentries}, "peers of the hidden one")
    for node in open_ones:
        seen = wait_until("others reach it", lambda: [p for p in node.rpc("admin_peers") if p["id"] == hidden["p2pKey"]], 20)[0]
        expect_equal((seen["source"], seen["network"]["remoteAddress"]), ("carried", ""), "what others know of it")
        expect(":" + hidden["endpoint"].rsplit(":", 1)[1] not in node.process.text(), "its port is in nobody's log")
    say("three validators know the fourth by its sentries alone")
    net.wait_growth(net.nodes, 10)  # past the views that it leaves out, since it may have voted in them before
    # With one of the others down, three votes are a quorum only if the hidden one's arrive.
    open_ones[0].process.kill()
    net.wait_growth([*open_ones[1:], shy], 20, 60)
    wait_until("it has led a block", lambda: led_by(open_ones[1], hidden["address"]), 60, every=2)
    say("its votes made blocks final, and it led some")
    sentries[0].process.kill()
    net.wait_growth([*open_ones[1:], shy], 10, 60)
    say("one sentry is enough")
    sentries[1].process.kill()
    expect(stands_still(net, open_ones[1:]), "without sentries its votes are missing")
    for sentry in sentries:
        sentry.process.start()
    net.wait_growth([*open_ones[1:], shy], 10, 60)
    net.expect_agreement([*open_ones[1:], shy, *sentries])


if __name__ == "__main__":
    main(run)
