# SPDX-License-Identifier: Apache-2.0
"""kill -9 of validators under load, over and over: nothing that was final is lost, nobody repairs anything, and a halted chain
resumes by itself. `--cycles N` sets how often (a thousand take about an hour and a half of quiet machine)."""
import random
import sys
import threading
import time

from harness import RpcError, expect, expect_equal, main, say, wait_until
from network import Devnet

RESUME_SECONDS = 10


def cycles_wanted():
    """Takes `--cycles N` off the command line before the harness reads the rest."""
    if "--cycles" not in sys.argv:
        return 6
    at = sys.argv.index("--cycles")
    number = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return number


CYCLES = cycles_wanted()


class Load:
    """Uploads blobs and sends transactions to random nodes until it is stopped; a node that is down is no failure."""

    def __init__(self, test, net):
        self.test, self.net, self.sent, self.stopping = test, net, 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        draw = random.Random(7)
        while not self.stopping:
            node = self.net.nodes[draw.randrange(3)]
            try:
                status, _ = node.put_blob(draw.randbytes(20_000))
                self.sent += status in (200, 201)
            except (OSError, RpcError):
                pass
            time.sleep(0.1)

    def stop(self):
        self.stopping = True
        self.thread.join()
        return self.sent


class Final:
    """Every final block that anyone ever reported; a node that later says otherwise has lost it."""

    def __init__(self):
        self.known, self.checked = {}, 0

    def look(self, node):
        height = node.rpc.finalised()
        for number in {height, max(0, height - 1), random.randrange(height + 1)}:
            found = node.rpc("eth_getBlockByNumber", hex(number), False)["hash"]
            expect_equal(found, self.known.setdefault(number, found), f"final block {number} at {node.process.name}")
            self.checked += 1
        return height

    def expect_kept(self, node):
        """The node has each of the blocks known, up to its own height."""
        top = node.rpc.finalised()
        for number in [n for n in self.known if n <= top][-20:]:
            self.checked += 1
            found = node.rpc("eth_getBlockByNumber", hex(number), False)
            expect(found is not None, f"final block {number} is lost at {node.process.name}")
            expect_equal(found["hash"], self.known[number], f"final block {number} at {node.process.name}")


def cycle(net, final, draw):
    """One validator is killed somewhere within two seconds of its life, and started again."""
    victim = net.nodes[3]
    time.sleep(draw.uniform(0, 2))
    before = 0
    try:
        before = final.look(victim)
    except (RpcError, OSError):
        pass  # killed before it answered anything
    victim.process.kill()
    victim.process.start()
    wait_until("the victim answers", victim.is_up, 60, 0.05)
    expect(victim.rpc.finalised() >= before, f"final height fell from {before} to {victim.rpc.finalised()}")
    final.expect_kept(victim)


def one_of_four(net, final):
    net.wait_voting()
    net.nodes[3].process.kill()
    begin = time.monotonic()
    net.wait_growth(net.nodes[:3], 5, 60)
    say(f"one of four down: five more blocks were final after {time.monotonic() - begin:.1f} s")
    net.nodes[3].process.start()
    wait_until("node3 answers", net.nodes[3].is_up, 30)
    final.expect_kept(net.nodes[3])


def two_of_four(net, final):
    alive, dead = net.nodes[:2], net.nodes[2:]
    net.wait_voting()
    net.wait_growth(net.nodes, 3, 90)
    for node in dead:
        node.process.kill()
    time.sleep(2)  # what was under way may still become final
    held = net.heights(alive)
    time.sleep(5)
    expect_equal(net.heights(alive), held, "final heights with two of four validators")
    begin = time.monotonic()
    for node in dead:
        node.process.start()
    wait_until("the chain goes on", lambda: min(net.heights(alive)) > max(held), 60, 0.05)
    took = time.monotonic() - begin
    say(f"two of four down: halted at {max(held)}, resumed {took:.1f} s after their start")
    expect(took <= RESUME_SECONDS, f"resumed within {RESUME_SECONDS} s, not {took:.1f} s")
    for node in dead:
        wait_until(f"{node.process.name} answers", node.is_up, 30)
        final.expect_kept(node)


def run(test):
    net = Devnet(test).start()
    net.wait_voting()
    load, final, draw = Load(test, net), Final(), random.Random(CYCLES)
    begin = time.monotonic()
    for number in range(1, CYCLES + 1):
        cycle(net, final, draw)
        final.look(net.nodes[number % 3])
        if number % 50 == 0:
            say(f"{number} cycles, height {net.rpc.finalised()}, {final.checked} blocks compared")
    say(f"{CYCLES} kill -9 cycles in {time.monotonic() - begin:.0f} s: {final.checked} final blocks compared, none lost")
    wait_until("node3 has caught up", lambda: net.nodes[3].rpc.finalised() >= net.rpc.finalised() - 1, 90)
    one_of_four(net, final)
    two_of_four(net, final)
    say(f"{load.stop()} blobs were stored meanwhile")
    net.wait_growth(net.nodes, 3, 90)
    net.expect_agreement()
    for node in net.nodes:
        text = node.process.text()
        expect("stands still" not in text and "broke a voting rule" not in text, f"{node.process.name} complains")
        expect_equal(node.process.stop(), 0, f"exit code of {node.process.name}")


main(run)
