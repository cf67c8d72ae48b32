# SPDX-License-Identifier: Apache-2.0
"""What an operator alone may do: ban a peer, which lasts over a restart and can be lifted; release a blob that was put for good."""
import json
import urllib.request

from harness import RpcError, expect, expect_equal, main, say, wait_until
from network import Devnet


def bans(net, test):
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
    begins, rpc = banned[4:12], ["--rpc", node.url]  # as `trainyard peers` shows it
    test.cli("peers", "ban", begins, "--seconds", 60, *rpc)
    expect_equal([b["id"] for b in node.rpc("admin_bans")], [banned], "bans after one by the command")
    test.cli("peers", "unban", "0x" + banned[2:10], *rpc)
    expect_equal(node.rpc("admin_bans"), [], "bans after it was lifted by the command")
    for short in ("0x", "zz", "zzzzzzzz"):
        expect("peer" in test.cli("peers", "ban", short, *rpc, code=1).err, f"'{short}' names no peer")
    say("a ban ended a connection, lasted over kill -9, and was lifted")


def blobs(net, test):
    put = urllib.request.Request(net.nodes[0].url + "/blob", data=b"once a job's data", method="PUT")
    with urllib.request.urlopen(put, timeout=10) as answer:
        blob = json.load(answer)["id"]

    def kept():
        return {row["id"]: row["kept"] for row in map(json.loads, test.cli("--json", "data", "blobs", "--all", "--rpc", net.nodes[0].url).out.splitlines())}

    expect_equal(kept(), {blob: True}, "blobs of node0")
    for command in (["blobs"], ["release", blob]):
        refused = test.cli("data", *command, "--rpc", net.nodes[1].url, code=1)
        expect("http.admin" in refused.text, f"a node without the switch says which it is: {refused.text}")
    test.cli("data", "release", blob, "--rpc", net.nodes[0].url)
    expect_equal(kept(), {blob: False}, "blobs after the release")
    say("a blob that was put for good was released")


def run(test):
    net = Devnet(test)
    net.nodes[0].process.command += ["--http.admin"]
    net.start()
    bans(net, test)
    blobs(net, test)
    net.expect_agreement()


main(run)
