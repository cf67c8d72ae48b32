# SPDX-License-Identifier: Apache-2.0
"""`trainyard status` and `trainyard peers` on a network that is well, on a node that is ill, and on one that is gone."""
import json
import pathlib
import re

from harness import Rpc, expect, expect_equal, main, say, wait_until
from network import Devnet


# While the state is synced, and once there is a snapshot.
AT_TIMES = {"trainyard_state_sync_chunks", "trainyard_state_sync_chunks_here", "trainyard_snapshot_age_seconds"}


def status(test, node, code):
    return json.loads(test.cli("--json", "status", "--rpc", node.url, code=code).out)


def run(test):
    net = Devnet(test)
    net.nodes[0].process.command += ["--http.admin"]
    net.start()
    node = net.nodes[0]
    wait_until("it votes", lambda: node.rpc("admin_consensusState")["whyNotVoting"] is None, 60)
    compared = lambda: node.rpc("yard_status")["clockAheadMs"] is not None
    wait_until("clocks are compared", compared, 30)
    well = status(test, node, 0)
    expect(well["well"] and well["problems"] == [], f"a node that is well: {well}")
    expect_equal(well["stake"]["selfWei"], str(1000 * 10**18), "its stake")
    expect(abs(well["clockAheadMs"]) < 500, f"one machine, one clock: {well['clockAheadMs']}")
    screen = test.cli("status", "--rpc", node.url).out
    for part in ["final", "waits for", "eligible, 1000 coins staked", "free", "well"]:
        expect(part in screen, f"{part} on the screen:\n{screen}")
    expect("\033" not in screen, "no colours where there is no terminal")
    expect(len(screen.splitlines()) <= 24, "it fits on a screen")
    # Peers: who they are, and what an operator does about them.
    listed = test.json("peers", "--rpc", node.url)
    expect_equal(len(listed["peers"]), 3, "peers")
    expect(all(p["source"] == "settings" and p["score"] == "0x64" and set(p["queues"]) ==
               {"votes", "proposals", "repair", "txs", "bulk"} for p in listed["peers"]), f"what is known of them: {listed}")
    victim = listed["peers"][0]["id"].removeprefix("0x")
    test.cli("peers", "ban", victim, "--reason", "by a test", "--rpc", node.url)
    wait_until("the ban is shown, and the peer is away", lambda: all(
        word in test.cli("peers", "--rpc", node.url).out for word in ("by a test", "banned", "away")), 10)
    test.cli("peers", "unban", victim, "--rpc", node.url)
    wait_until("it is back", lambda: len(node.rpc("admin_peers")) == 3, 30)
    expect("http.admin" in test.cli("peers", "ban", victim, "--rpc", net.nodes[1].url, code=1).text, "without the switch")
    expect("66 hex digits" in test.cli("peers", "add", "nobody", "--rpc", node.url, code=1).text, "a peer that is none")
    wait_until("all three clocks are compared again", compared, 30)
    metrics = lambda: Rpc(node.url + "/metrics").post(None, method="GET")[1].decode()
    wait_until("the verifier process has said what confines it", lambda: "\ntrainyard_verifier_confined " in metrics(), 120)
    text = metrics()
    landlock = "no Landlock in this kernel" not in node.process.text()
    expect(f"\ntrainyard_verifier_confined {int(landlock)}" in text, "the verifier process is confined")
    expect_equal("not confined" in node.rpc("yard_status")["verifier"], not landlock, "which its name says where it is not")
    if not landlock:
        say("THIS KERNEL HAS NO LANDLOCK: verifier processes can read the keys of their nodes")
    for name in ["clock_ahead_seconds", "p2p_queued_bytes{lane=\"votes\"}", "p2p_addresses{table=\"tried\"}",
                 "p2p_banned_peers", "staking_turns_led", "staking_turns_missed", "staking_jailed", "disk_free_bytes",
                 "consensus_vote_fsync_seconds", "consensus_finality_seconds", "consensus_nullify_total"]:
        expect(f"trainyard_{name}" in text, f"trainyard_{name} in the metrics")
    exported = set(re.findall(r"^(trainyard_\w+)", text, re.M))
    for path in (pathlib.Path(__file__).parents[2] / "tools" / "monitoring").iterdir():
        missing = set(re.findall(r"\btrainyard_\w+", path.read_text())) - exported - AT_TIMES
        expect(not missing, f"{path.name} asks for what a validator does not export: {sorted(missing)}")
    say("a node that is well is shown so")
    # Two of four away: nothing becomes final any more, and the code says so.
    for other in net.nodes[2:]:
        other.process.kill()
    wait_until("status notices", lambda: test.cli("status", "--rpc", node.url, code=None).code == 6, 60, every=2)
    ill = status(test, node, 6)
    expect("nothing became final" in ill["problems"][0]["words"], ill["problems"])
    expect("missing 0x" in ill["problems"][0]["words"], "and who is missing")
    node.process.kill()
    expect("error:" in test.cli("status", "--rpc", node.url, code=1).text, "no answer")
    say("a stalled chain is code 6, a node that is gone code 1")


main(run)
