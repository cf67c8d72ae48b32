# SPDX-License-Identifier: Apache-2.0
"""A devnet whose nodes and providers are direct children of the test, so that each can be killed by itself."""
import json
import re
import shutil

from harness import MARKET, Failure, Rpc, claim_ports, expect, expect_equal, say, wait_until

# A job that takes seconds. Each of 3 auditors draws 4 units: a segment of 2 steps with 2 units is audited whole.
def tiny_gpt(width=64):
    return ["--layers", 1, "--width", width, "--heads", 2, "--sequence", 32, "--sequences", 1, "--micro-batches", 2]


class Node:
    def __init__(self, process, http_port):
        self.process = process
        self.url = f"http://127.0.0.1:{http_port}"
        self.rpc = Rpc(self.url)

    def is_up(self):
        if not self.process.is_alive():
            raise Failure(f"{self.process.name} has ended")
        return self.rpc("eth_chainId")

    def put_blob(self, content):
        """HTTP status and body."""
        return Rpc(self.url + "/blob").post(content, method="PUT")


class Devnet:
    """Made by `trainyard devnet init`: genesis.json and node-N/{node.toml, keys, data}. `params` replace numbers of the devnet's."""

    def __init__(self, test, validators=4, **params):
        self.test, self.folder = test, test.folder / "devnet"
        settings = sum((["--set", f"{name}={value}"] for name, value in params.items()), [])
        self._init("--validators", validators, *settings)
        members = json.loads((self.folder / "genesis.json").read_text())["config"]["trainyard"]["validators"]
        self.operators = [member["address"].lower() for member in members]
        expect_equal(len(members), validators, "validators in the genesis")
        self.nodes = [self._node(i) for i in range(validators)]
        self.providers = {}

    def _init(self, *words):
        """Once more where ports were drawn that another test has drawn, too."""
        for _ in range(20):
            self.test.cli("devnet", "init", "--dir", self.folder, *words)
            drawn = [re.findall(r"\nport = (\d+)", file.read_text()) for file in self.folder.glob("node-*/node.toml")]
            if claim_ports([int(port) for ports in drawn for port in ports]):
                return
            shutil.rmtree(self.folder)
        raise Failure("other tests have all ports")

    def _node(self, i):
        settings = self.folder / f"node-{i}" / "node.toml"
        http_port = re.search(r"\[http\].*?\nport = (\d+)", settings.read_text(), re.S).group(1)
        return Node(self.test.process(f"node{i}", "node", "--config", settings), http_port)

    @property
    def rpc(self):
        return self.nodes[0].rpc

    def start(self, heights=2):
        for node in self.nodes:
            node.process.start()
        for node in self.nodes:
            wait_until(f"{node.process.name} answers", node.is_up, 30)
        wait_until(f"height {heights} is final", lambda: self.rpc.finalised() >= heights, 60)
        if any("listens for other users" in node.process.text() for node in self.nodes):
            self.wait_voting()  # one was so late that the others had begun
        say(f"{len(self.nodes)} validators, height {self.rpc.finalised()} is final")
        return self

    def wait_voting(self):
        """A node without a signing history that joins a running chain listens first, and then leaves the next views out: until
        these are over nobody else may fail."""
        for node in self.nodes:
            wait_until(f"{node.process.name} votes",
                       lambda: node.rpc("admin_consensusState")["whyNotVoting"] is None, 60)
        self.wait_growth(self.nodes, 4)

    def provider(self, name, account, *flags):
        process = self.test.process(
            name, "--json", "provider", "--rpc", self.nodes[0].url, "--key", f"dev:{account}",
            "--datadir", self.test.folder / name, "--name", name, "--stake", 500, "--no-cuda", *flags)
        self.providers[name] = process
        return process

    def heights(self, nodes=None):
        return [node.rpc.finalised() for node in nodes or self.nodes]

    def wait_growth(self, nodes, blocks, seconds=60):
        """Each of the nodes finalises so many further blocks; returns the heights before and after."""
        before = self.heights(nodes)
        wait_until(f"{blocks} further final blocks",
                   lambda: all(now >= then + blocks for now, then in zip(self.heights(nodes), before)), seconds)
        return before, self.heights(nodes)

    def expect_agreement(self, nodes=None):
        """All report one hash and one state root for every tenth final height and for the last common one."""
        nodes = nodes or self.nodes
        common = min(self.heights(nodes))
        for height in [*range(0, common, 10), common]:
            found = {(block["hash"], block["stateRoot"]) for block in
                     (node.rpc("eth_getBlockByNumber", hex(height), False) for node in nodes)}
            expect_equal(len(found), 1, f"blocks at height {height}")
        say(f"{len(nodes)} nodes agree on hash and state root up to final height {common}")
        return common

    # --- jobs

    def data(self, size=20_000):
        path = self.test.folder / "text.txt"
        words = "the engine of a long freight train pulls coal over old hills while rivers sleep below".split()
        text, at = "", 1
        while len(text) < size:
            at = at * 48271 % 2147483647
            text += words[at % len(words)] + (".\n" if at % 11 == 0 else " ")
        path.write_text(text)
        return path

    def submit(self, segments, steps, price="1", account=0, fee="0.01", provider=None, width=64, segment_blocks=480):
        """Posts a job with `segments` segments of `steps` steps; returns what the command printed."""
        extra = ["--provider", provider] if provider else []
        posted = self.test.json(
            "job", "submit", "--rpc", self.nodes[0].url, "--key", f"dev:{account}", "--data", self.data(),
            "--price", price, "--audit-fee", fee, "--steps", segments * steps, "--segment", steps,
            "--segment-blocks", segment_blocks, *tiny_gpt(width), *extra)
        say(f"job {posted['id']}: {segments} segments of {steps} steps, {price} coins each")
        return posted

    def job(self, number):
        job = self.rpc("yard_job", hex(number))
        expect(job is not None, f"there is no job {number}")
        return job

    def wait_job(self, number, what, condition, seconds=90):
        return wait_until(f"job {number} {what}", lambda: (lambda j: j if condition(j) else None)(self.job(number)), seconds)

    def expect_sums(self, *accounts):
        """The market holds what is in escrow and on credit, to the wei; the accounts are all who may have credit."""
        jobs = self.rpc("yard_jobs")["jobs"]
        expect(all(job["state"] == "closed" for job in jobs), "a job still runs, so that sums may change while they are read")
        block = self.rpc("eth_blockNumber")
        escrows = sum(int(job["escrow"], 16) for job in jobs)
        credits = sum(self.rpc.view(MARKET, "credit(address)", who, block=block)[0] for who in [*accounts, *self.operators])
        held = self.rpc.balance(MARKET, block)
        expect_equal(held, escrows + credits, f"balance of the market at block {int(block, 16)}")
        say(f"the market holds {held} wei: {escrows} in escrow, {credits} on credit")


def events_of(process, kind=None):
    """JSON events that a provider has printed so far."""
    found = []
    for line in process.text().splitlines():
        if line.startswith("{"):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the line is being written
            if kind is None or event.get("event") == kind:
                found.append(event)
    return found


