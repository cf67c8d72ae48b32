# SPDX-License-Identifier: Apache-2.0
"""A copy of a validator's keys on a second machine is found before it votes; a lost database is, too."""
import shutil
import time

from harness import expect, expect_equal, main, say, wait_until
from network import Devnet, Node


def start_copy(test, net, name, *flags):
    """Node 3's keys and settings with a data folder of its own."""
    settings = net.folder / "node-3" / "node.toml"
    http = 1 + max(int(node.url.rsplit(":", 1)[1]) for node in net.nodes) + len(test.processes)
    process = test.process(name, "node", "--config", settings, "--datadir", test.folder / name,
                           "--http.port", http, "--p2p.port", 0, *flags)
    process.start()
    return Node(process, http)


def why(node):
    return node.rpc("admin_consensusState")["whyNotVoting"]


def run(test):
    net = Devnet(test).start()
    net.wait_growth(net.nodes, 5)
    # A fourth that connects after the others have a final block listens; three make the quorum.
    votes = sum("votes from now on" in node.process.text() for node in net.nodes)
    expect(votes >= 3, f"validators of a new chain vote at once: {votes}")
    # The copy has the P2P key as well: the two take connections from each other. Either that is seen first, or a vote in a certificate.
    copy = start_copy(test, net, "copy")
    wait_until("the copy answers", copy.is_up, 30)
    wait_until("the copy finds the original", lambda: "another machine" in (why(copy) or ""), 60)
    for _ in range(20):  # five times as long as a validator listens where nobody is in its way
        expect("another machine" in (why(copy) or ""), f"the copy stays silent: {why(copy)}")
        time.sleep(1)
    expect("another machine" in copy.process.text(), "the log says so")
    expect("votes from now on" not in copy.process.text(), "the copy has not voted")
    say("the copy of a running validator refuses to vote")
    expect_equal(copy.process.stop(), 0, "exit code of the copy")
    # Restarted with its own database, the original listens and goes on.
    node = net.nodes[3]
    node.process.kill()
    begin = time.monotonic()
    node.process.start()
    wait_until("node3 answers", node.is_up, 30)
    wait_until("node3 votes again", lambda: why(node) is None, 90)
    expect(time.monotonic() - begin >= 4, "a restarted validator listens for 4 s")
    say("the original votes again after it has listened")
    # A lost database looks the same; whoever is sure goes on, in views above all old votes.
    node.process.kill()
    data = net.folder / "node-3" / "data"
    shutil.rmtree(data)
    node.process.command.append("--no-doppelganger-check")
    node.process.start()
    wait_until("node3 answers", node.is_up, 30)
    wait_until("node3 votes without its database", lambda: why(node) is None, 90)
    net.wait_growth(net.nodes, 5)
    net.expect_agreement()
    for other in net.nodes:
        text = other.process.text()
        expect("broke a voting rule" not in text, f"{other.process.name} saw no offence")


main(run)
