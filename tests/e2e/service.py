# SPDX-License-Identifier: Apache-2.0
"""Node, signer and provider as systemd sees them: ready, alive with a line about themselves, stopping."""
import re
import socket
import time

from harness import expect, expect_equal, main, say, wait_until
from network import Devnet


class Manager:
    """Listens as systemd does; `said` are the assignments so far."""

    def __init__(self, test, name, watchdog_s=None):
        self.path = str(test.folder / f"{name}.notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.said = []
        test.environment["NOTIFY_SOCKET"] = self.path
        test.environment.pop("WATCHDOG_USEC", None)
        if watchdog_s:
            test.environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1_000_000))

    def hear(self):
        while True:
            try:
                self.said += self.socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return self.said

    def status(self):
        return next((line[7:] for line in reversed(self.hear()) if line.startswith("STATUS=")), "")


def run(test):
    node_manager = Manager(test, "node", watchdog_s=3)
    net = Devnet(test, validators=1)
    net.start()
    expect_equal(node_manager.hear()[0], "READY=1", "the first word of a node")
    wait_until("the height is told",
               lambda: re.fullmatch(r"block [1-9]\d* final, 0 peers, validator", node_manager.status()), 20)
    before, since = node_manager.hear().count("WATCHDOG=1"), time.monotonic()
    wait_until("the watchdog is fed again and again", lambda: node_manager.hear().count("WATCHDOG=1") >= before + 3, 9)
    expect(time.monotonic() - since > 1.5, "a watchdog of 3 s is fed once in a second")
    say(f"node: ready, then '{node_manager.status()}'")

    provider_manager = Manager(test, "provider")
    provider = net.provider("p", 1).start()
    wait_until("the provider is ready", lambda: "READY=1" in provider_manager.hear(), 60)
    wait_until("it says what it does", lambda: provider_manager.status().startswith("provider 0x"), 20)
    expect_equal(provider.stop(), 0, "exit code of the provider")
    expect_equal(provider_manager.hear()[-1], "STOPPING=1", "the last word of a provider")

    signer_manager = Manager(test, "signer")
    signer = test.process("signer", "signer", "--genesis", net.folder / "genesis.json", "--keys", net.folder / "node-0" / "keys",
                          "--datadir", test.folder / "signer")
    signer.start()
    wait_until("the signer is ready", lambda: "READY=1" in signer_manager.hear(), 30)
    expect_equal(signer.stop(), 0, "exit code of the signer")
    expect_equal(signer_manager.hear(), ["READY=1", "STOPPING=1"], "words of a signer")

    expect_equal(net.nodes[0].process.stop(), 0, "exit code of the node")
    expect_equal(node_manager.hear()[-1], "STOPPING=1", "the last word of a node")
    # Without a manager nothing is said, and nothing else is different.
    test.environment.pop("NOTIFY_SOCKET")
    said = len(node_manager.hear())
    net.nodes[0].process.start()
    wait_until("it answers again", net.nodes[0].is_up, 30)
    expect_equal(len(node_manager.hear()), said, "what is said without a manager")


main(run)
