# SPDX-License-Identifier: Apache-2.0
"""A validator that talks to its two sentries alone votes and leads through them; nobody learns where it is."""
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
    """Heights that may still be on their way count as one; then nothing more comes."""
    import time
    time.sleep(2)
    before = net.heights(nodes)
    time.sleep(seconds)
    return max(after - then for after, then in zip(net.heights(nodes), before)) == 0


def run(test):
    net = Devnet(test)
    hidden = members(net)[3]["p2pKey"]
    # Keys and folders have another order than the genesis, which is sorted by operator.
    keys = {member["p2pKey"]: member["endpoint"] for member in members(net)}
    port = keys[hidden].rsplit(":", 1)[1]
    at = next(i for i in range(4) if f"port = {port}" in (net.folder / f"node-{i}" / "node.toml").read_text())
    genesis = without_endpoints(net, hidden)
    sentries = [start_sentry(test, net, genesis, f"sentry{i}", hidden) for i in range(2)]
    for i, node in enumerate(net.nodes):
        node.process.command += ["--genesis", str(genesis)]
        if i == at:
            node.process.command += ["--p2p.sentries", ",".join(sentry.address for sentry in sentries)]
    net.start(heights=4)
    shy, open_ones = net.nodes[at], [node for i, node in enumerate(net.nodes) if i != at]
    wait_until("the hidden one votes", lambda: shy.rpc("admin_consensusState")["whyNotVoting"] is None, 60)
    expect_equal({peer["id"].removeprefix("0x") for peer in shy.rpc("admin_peers")},
                 {sentry.address.split("@")[0] for sentry in sentries}, "peers of the hidden one")
    for node in open_ones:
        seen = wait_until("others reach it", lambda: [p for p in node.rpc("admin_peers") if p["id"] == hidden], 20)[0]
        expect_equal((seen["source"], seen["network"]["remoteAddress"]), ("carried", ""), "what others know of it")
        expect(f":{port}" not in node.process.text(), "its port is in nobody's log")
    say("three validators know the fourth by its sentries alone")
    net.wait_growth(net.nodes, 10)  # past the views that it leaves out, since it may have voted in them before
    # With one of the others down, three votes are a quorum only if the hidden one's arrive.
    open_ones[0].process.kill()
    net.wait_growth([*open_ones[1:], shy], 20, 60)
    operator = members(net)[3]["address"].lower()
    led = lambda: any(open_ones[1].rpc("eth_getBlockByNumber", hex(h), False)["miner"] == operator
                      for h in range(1, open_ones[1].rpc.finalised() + 1))
    wait_until("it has led a block", led, 60, every=2)
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


main(run)
