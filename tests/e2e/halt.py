# SPDX-License-Identifier: Apache-2.0
"""Nodes end at a height on purpose, go on without it, and end before a fork that they do not know."""
import json
import time

from harness import expect, expect_equal, main, say, wait_until
from network import Devnet

HEIGHT = 12


def exits(net, code, seconds=60):
    for node in net.nodes:
        expect_equal(node.process.child.wait(seconds), code, f"exit code of {node.process.name}")
        node.process.child = None


def finals(process):
    """Heights that a node's log calls final."""
    return [int(line.split("height=")[1].split()[0]) for line in process.text().splitlines() if " final  " in line]


def halt_height(net):
    for node in net.nodes:
        node.process.command += ["--halt-height", str(HEIGHT)]
        node.process.start()
    exits(net, 0)
    for node in net.nodes:
        expect_equal(max(finals(node.process)), HEIGHT, f"last final height of {node.process.name}")
        expect("the halt height is final" in node.process.text(), f"{node.process.name} says why it ended")
    again = net.nodes[0].process.start()
    expect_equal(again.child.wait(30), 0, "exit code of a start at the halt height")
    again.child = None
    say(f"four nodes ended at height {HEIGHT} with exit code 0")
    for node in net.nodes:
        node.process.command = node.process.command[:-2]


def unknown_fork(net):
    path = net.folder / "genesis.json"
    genesis = json.loads(path.read_text())
    at = int(time.time()) + 20
    genesis["config"]["trainyard"]["forks"] = [{"name": "rails", "time": at, "release": "9.9.9"}]
    path.write_text(json.dumps(genesis))
    net.start(HEIGHT + 2)
    expect("a fork is coming" in net.nodes[0].process.text(), "a node warns of the fork")
    exits(net, 1)
    for node in net.nodes:
        text = node.process.text()
        expect("9.9.9" in text and "rails" in text, f"{node.process.name} says which release is needed")
        expect("stands still" not in text, f"{node.process.name} does not take it for a fault")
    refused = net.nodes[0].process.start()
    expect_equal(refused.child.wait(30), 1, "exit code of a start after the fork")
    refused.child = None
    expect("cannot start" in refused.text(), "a start after the fork is refused")
    say("four nodes ended before the fork, and do not start after it")
    genesis["config"]["trainyard"]["forks"] = []
    path.write_text(json.dumps(genesis))
    net.start(max(finals(net.nodes[0].process)) + 2)
    net.expect_agreement()


def run(test):
    net = Devnet(test)
    halt_height(net)
    unknown_fork(net)


main(run)
