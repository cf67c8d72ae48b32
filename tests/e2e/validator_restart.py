# SPDX-License-Identifier: Apache-2.0
"""Validators die by kill -9 while a job trains: the chain goes on with three of four, halts with two, and all agree again."""
import time

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
    say(f"node2 and node3 killed; the chain stands still at {max(held)}")
    for node in dead:
        node.process.start()
    for node in dead:
        wait_until(f"{node.process.name} answers", node.is_up, 30)
    net.wait_growth(net.nodes, 5, 90)
    say("both restarted; the chain goes on")
    net.expect_agreement()


def run(test):
    net = Devnet(test).start()
    net.provider("provider", 1).start()
    posted = net.submit(segments=12, steps=8)
    one_dies(net)
    two_die(net)
    receipts = {node.rpc("eth_getTransactionReceipt", posted["tx"])["blockHash"] for node in net.nodes}
    expect_equal(len(receipts), 1, "blocks in which the nodes see the job's transaction")
    for node in net.nodes:
        expect("halted" in node.rpc("yard_status"), "yard_status has `halted`")
        expect_equal(node.rpc("yard_status")["halted"], None, f"why {node.process.name} stands still")
        expect_equal(node.process.stop(), 0, f"exit code of {node.process.name} after SIGTERM")
    say("every node ends cleanly on SIGTERM")


main(run)
