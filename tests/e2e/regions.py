# SPDX-License-Identifier: Apache-2.0
"""Four validators, each in a network namespace of its own, in two regions with one link between them.

The link is slow and lossy (netem: 40 ms each way, jitter, 1 % loss) or, where the kernel has no netem, only of small
rate (tbf), which the test says loudly. Then the link is cut: no side has a quorum, and nothing may become final. Then it is
mended: blocks must become final again within 10 s. Then one validator alone is cut off: the others go on, and it catches up.
Everything lives in a network namespace that ends with the test. Needs root, iproute2 and util-linux.
"""
import os
import re
import shutil
import subprocess
import sys
import time

from harness import Skip, expect, expect_equal, main, say, wait_until
from network import Devnet, Node

INSIDE = "TRAINYARD_E2E_NETNS"
P2P_PORT, HTTP_PORT = 30303, 8545
RESUME_SECONDS = 10


def ip(*arguments, check=True):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Skip(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.returncode == 0


def enter_namespace():
    """Runs this script again inside a new network namespace, where it may make bridges."""
    missing = [tool for tool in ("ip", "tc", "nsenter", "unshare") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        return f"not here: {', '.join(missing)}" if missing else "only root may make network namespaces"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        return "this kernel or container refuses network namespaces"
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-n", "--", sys.executable, *sys.argv])


class Regions:
    """Bridges `east` and `west`, two validators on each; the pair `cable-e`, `cable-w` joins them."""

    def __init__(self, test):
        self.test, self.holders = test, []
        ip("link", "set", "lo", "up")
        for name in ("east", "west"):
            ip("link", "add", name, "type", "bridge")
            ip("link", "set", name, "up")
        ip("link", "add", "cable-e", "type", "veth", "peer", "name", "cable-w")
        ip("link", "set", "cable-e", "master", "east", "up")
        ip("link", "set", "cable-w", "master", "west", "up")
        # This script stands in the east for validators 0 and 1, and has a second foot in the west for the others.
        ip("address", "add", "10.77.0.254/24", "dev", "east")
        ip("link", "add", "foot", "type", "veth", "peer", "name", "foot-w")
        ip("link", "set", "foot-w", "master", "west", "up")
        ip("address", "add", "10.77.0.253/32", "dev", "foot")
        ip("link", "set", "foot", "up")

    def add(self, n):
        """A namespace with one interface on the validator's bridge; returns the command that runs something in it."""
        holder = self.test.process(f"namespace{n}")
        holder.command = ["unshare", "-n", "sleep", "infinity"]
        holder.start()
        pid = str(holder.child.pid)
        own = os.readlink("/proc/self/ns/net")
        wait_until("a namespace", lambda: os.readlink(f"/proc/{pid}/ns/net") != own, 10, 0.02)
        region = "east" if n < 2 else "west"
        ip("link", "add", f"v{n}", "type", "veth", "peer", "name", f"n{n}")
        ip("link", "set", f"v{n}", "master", region, "up")
        ip("link", "set", f"n{n}", "netns", pid)
        enter = ["nsenter", "-t", pid, "-n"]
        for command in (["link", "set", "lo", "up"], ["address", "add", f"10.77.0.{n + 1}/24", "dev", f"n{n}"],
                        ["link", "set", f"n{n}", "up"]):
            subprocess.run([*enter, "ip", *command], check=True)
        if region == "west":
            ip("route", "add", f"10.77.0.{n + 1}/32", "dev", "foot", "src", "10.77.0.253")
        return enter

    def spoil(self):
        """Makes the cable bad; returns what it is like now."""
        for shape, words in ((["netem", "delay", "40ms", "5ms", "loss", "1%", "rate", "50mbit"], "80 ms there and back, 1 % loss, 50 Mbit/s"),
                             (["tbf", "rate", "20mbit", "burst", "64kb", "latency", "200ms"], "20 Mbit/s")):
            done = [subprocess.run(["tc", "qdisc", "replace", "dev", end, "root", *shape], capture_output=True)
                    for end in ("cable-e", "cable-w")]
            if all(d.returncode == 0 for d in done):
                return words, shape[0] == "netem"
        return "of no limit (neither netem nor tbf)", False


def settle(folder, n):
    """Addresses of the namespaces instead of loopback; returns the port for peers that it had there."""
    settings = folder / f"node-{n}" / "node.toml"
    text = settings.read_text().replace('addr = "127.0.0.1"', f'addr = "10.77.0.{n + 1}"')
    text = re.sub(r'vhosts = \[.*\]', 'vhosts = ["*"]', text)
    text = re.sub(r"(\[http\].*?\nport = )\d+", rf"\g<1>{HTTP_PORT}", text, flags=re.S)
    port = re.compile(r"(\[p2p\].*?\nport = )(\d+)", re.S)
    settings.write_text(port.sub(rf"\g<1>{P2P_PORT}", text))
    return port.search(text).group(2)


def make_network(test):
    net = Devnet(test)
    regions = Regions(test)
    genesis = net.folder / "genesis.json"
    for n, node in enumerate(net.nodes):
        old_port = settle(net.folder, n)
        genesis.write_text(genesis.read_text().replace(f'"127.0.0.1:{old_port}"', f'"10.77.0.{n + 1}:{P2P_PORT}"'))
        node.process.command = [*regions.add(n), *node.process.command]
        net.nodes[n] = Node(node.process, HTTP_PORT)
        net.nodes[n].url = f"http://10.77.0.{n + 1}:{HTTP_PORT}"
        net.nodes[n].rpc.url = net.nodes[n].url
    return net, regions


def cut_the_cable(net):
    ip("link", "set", "cable-e", "down")
    time.sleep(2)  # what was under way may still become final
    held = net.heights()
    time.sleep(8)
    expect_equal(net.heights(), held, "final heights while no side has a quorum")
    ip("link", "set", "cable-e", "up")
    start = time.monotonic()
    goal = max(held) + 1
    wait_until("a new final block", lambda: max(net.heights()) >= goal, 60, 0.05)
    took = time.monotonic() - start
    say(f"cut for 10 s at height {max(held)}: stood still, and went on {took:.1f} s after the cable was mended")
    expect(took <= RESUME_SECONDS, f"the chain goes on within {RESUME_SECONDS} s, not {took:.1f} s")
    net.wait_growth(net.nodes, 3)


def cut_one_off(net):
    ip("link", "set", "v3", "down")
    before, after = net.wait_growth(net.nodes[:3], 15, 90)
    ip("link", "set", "v3", "up")
    goal = max(net.heights(net.nodes[:3]))
    start = time.monotonic()
    wait_until(f"node3 catches up to {goal}", lambda: net.nodes[3].rpc.finalised() >= goal, 60, 0.05)
    say(f"node3 cut off: the others went on from {min(before)} to {min(after)}; it caught up in {time.monotonic() - start:.1f} s")


def run(test):
    net, regions = make_network(test)
    net.start()
    words, is_bad = regions.spoil()
    if not is_bad:
        print("*" * 72 + "\nSKIPPED IN PART: this kernel has no netem, so that the cable has no delay and loses nothing\n" + "*" * 72, flush=True)
    start = time.monotonic()
    before, after = net.wait_growth(net.nodes, 20, 120)
    say(f"over a cable {words}: {min(after) - min(before)} final blocks in {time.monotonic() - start:.1f} s")
    cut_the_cable(net)
    cut_one_off(net)
    net.expect_agreement()


if __name__ == "__main__":
    if INSIDE in os.environ:
        main(run)
    else:
        why = enter_namespace()
        print("*" * 72 + f"\nSKIPPED: {why}\n" + "*" * 72)
        sys.exit(77)
