# SPDX-License-Identifier: Apache-2.0
"""An operator bans a peer: that lasts over a restart, and can be lifted."""
import json

from harness import RpcError, expect, expect_equal, main, say, wait_until
from network import Devnet


def bans(net):
    node, victim = net.nodes[0], net.nodes[1]
    key = json.loads((net.folder / "genesis.json").read_text())["config"]["trainyard"]["validators"]
    peers = {v["p2pKey"] for v in key}
    connected = [peer["id"] for peer in node.rpc("admin_peers")]
    expect_equal(len(connected), 3, "peers of node0")
    expect(set(connected) <= peers, "peers are the validators of the genesis")
    banned = connected[0]
    try:
        victim.rpc("admin_ban", banned, 60)
        raise AssertionError("a ban without --http.admin")
    except RpcError as refused:
        expect("http.admin" in str(refused), f"a node without the switch says which it is: {refused}")
    node.rpc("admin_ban", banned, 3600, "by a test")
    gone = lambda: banned not in [peer["id"] for peer in node.rpc("admin_peers")]
    wait_until("the banned peer is gone", gone, 10)
    expect_equal([(b["id"], b["reason"]) for b in node.rpc("admin_bans")], [(banned, "by a test")], "bans")
    node.process.kill()
    node.process.start()
    wait_until("node0 answers", node.is_up, 30)
    wait_until("two peers are back", lambda: len(node.rpc("admin_peers")) == 2, 20)
    expect(3500 < int(node.rpc("admin_bans")[0]["secondsLeft"], 16) <= 3600, "the ban has outlived kill -9")
    net.wait_growth(net.nodes, 2)
    node.rpc("admin_unban", banned)
    wait_until("the peer is back", lambda: len(node.rpc("admin_peers")) == 3, 30)
    expect_equal(node.rpc("admin_bans"), [], "bans after one was lifted")
    say("a ban ended a connection, lasted over kill -9, and was lifted")


def run(test):
    net = Devnet(test)
    net.nodes[0].process.command += ["--http.admin"]
    net.start()
    bans(net)
    net.expect_agreement()


main(run)
