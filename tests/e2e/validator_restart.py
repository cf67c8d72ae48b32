# SPDX-License-Identifier: Apache-2.0
"""Validators die by kill -9 while a job trains: the chain goes on with three of four, halts with two, and all agree again."""
import time
import urllib.request

from harness import expect, expect_equal, main, say, wait_until
from network import Devnet


def one_dies(net):
    victim, others = net.nodes[3], net.nodes[:3]
    net.wait_job(0, "has a committed segment", lambda job: int(job["tip"], 16) >= 1)
    victim.process.kill()
    before, after = net.wait_growth(others, 12)
    say(f"node3 killed; the others went on from {min(before)} to {min(after)}")
    victim.process.start()
    goal = max(net.heights(others))
    wait_until("node3 answers", victim.is_up, 30)
    wait_until(f"node3 has caught up to {goal}", lambda: victim.rpc.finalised() >= goal, 60)
    say(f"node3 restarted and caught up to {victim.rpc.finalised()}")
    net.wait_growth(net.nodes, 3)
    net.expect_agreement()


def two_die(net):
    alive, dead = net.nodes[:2], net.nodes[2:]
    for node in dead:
        node.process.kill()
    time.sleep(2)  # what was under way may still become final
    held = net.heights(alive)
    time.sleep(5)
    expect_equal(net.heights(alive), held, "final heights with two of four validators")
    state = alive[0].rpc("admin_consensusState")
    expect(state["waitsFor"].startswith("votes"), f"it says that it waits for votes: {state}")
    operators = [v["operator"] for v in alive[0].rpc("yard_validators") if not v["connected"] and not v["self"]]
    expect(set(operators) <= set(state["missing"]), f"it names the validators that are away: {state}")
    say(f"node2 and node3 killed; the chain stands still at {max(held)}, and node0 waits for {state['waitsFor']}")
    for node in dead:
        node.process.start()
    for node in dead:
        wait_until(f"{node.process.name} answers", node.is_up, 30)
    net.wait_growth(net.nodes, 5, 90)
    say("both restarted; the chain goes on")
    net.expect_agreement()


def expect_metrics(node):
    with urllib.request.urlopen(node.url + "/metrics", timeout=10) as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#")]
    values = {name: float(value) for name, value in lines}
    expect(values["trainyard_consensus_final_height"] > 20, "a final height in /metrics")
    expect(values["trainyard_consensus_vote_fsync_seconds_count"] > 40, "fsyncs of votes in /metrics")
    expect(values["trainyard_consensus_finality_seconds_count"] > 10, "times to finality in /metrics")
    nullified = sum(value for name, value in values.items() if name.startswith("trainyard_consensus_nullify_total"))
    expect(nullified > 0, "views given up, by cause, in /metrics")
    expect_equal(values['trainyard_p2p_peers{state="away"}'], 0, "peers that are away")
    mean_ms = 1000 * values["trainyard_consensus_finality_seconds_sum"] / values["trainyard_consensus_finality_seconds_count"]
    say(f"{len(values)} metrics; final {mean_ms:.0f} ms after the block, {nullified:.0f} views given up")


def run(test):
    net = Devnet(test).start()
    net.provider("provider", 1).start()
    posted = net.submit(segments=12, steps=8)
    one_dies(net)
    two_die(net)
    receipts = {node.rpc("eth_getTransactionReceipt", posted["tx"])["blockHash"] for node in net.nodes}
    expect_equal(len(receipts), 1, "blocks in which the nodes see the job's transaction")
    expect_metrics(net.nodes[0])
    for node in net.nodes:
        expect("halted" in node.rpc("yard_status"), "yard_status has `halted`")
        expect_equal(node.rpc("yard_status")["halted"], None, f"why {node.process.name} stands still")
        expect_equal(node.process.stop(), 0, f"exit code of {node.process.name} after SIGTERM")
    say("every node ends cleanly on SIGTERM")


main(run)
