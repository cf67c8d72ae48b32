# SPDX-License-Identifier: Apache-2.0
"""Clients send and read through all nodes while nodes are killed; afterwards every answer must fit one history.

The final chain is replayed by a few lines of Python that know nothing but transfers and fees. Checked against it:
  - what a node said of a balance or a nonce is the value at one of the final heights between the node's own height just
    before and just after the question (so a read never goes back behind what the same node showed before, kills included);
  - each transaction that was sent is in the chain exactly once, with its sender's nonces in order;
  - no coin appears or disappears.
HISTORY_SECONDS (default 30) says how long the disturbance lasts, HISTORY_SEED which nodes die when.
"""
import os
import random
import threading
import time

from harness import COIN, DEV, RpcError, expect, expect_equal, main, say, wait_until
from network import Devnet
from signing import KEYS, address_of, transaction

SENDERS = KEYS[3:8]  # nobody else of the network uses these accounts
ACCOUNTS = [address_of(key) for key in SENDERS]
KINDS = {"eth_getBalance": 0, "eth_getTransactionCount": 1}


class Clients:
    """Threads that send and read until told to stop; whatever they saw is kept for the check."""

    def __init__(self, net, chain_id):
        self.net, self.chain_id = net, chain_id
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.sent, self.reads, self.failures = {}, [], []
        self.threads = [threading.Thread(target=self._guard, args=(self._send, i)) for i in range(len(SENDERS))]
        self.threads += [threading.Thread(target=self._guard, args=(self._read, i)) for i in range(3)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            expect(not thread.is_alive(), "a client ends when told to")
        expect(not self.failures, f"clients see no contradiction: {self.failures[:3]}")

    def _guard(self, work, i):
        try:
            work(i, random.Random(i))
        except Exception as error:  # shown by stop(); a thread's exception would be lost
            self.failures.append(repr(error))

    def _send(self, i, dice):
        """One transaction after the other; each is offered to one node after the other until it is final somewhere."""
        nonce = 0
        while not self.stopping.is_set():
            to = dice.choice(ACCOUNTS)
            raw, tx = transaction(SENDERS[i], self.chain_id, nonce, to, value=dice.randrange(COIN))
            with self.lock:
                self.sent[tx] = (ACCOUNTS[i], nonce)
            while not self._is_final(dice, raw, tx):
                if self.stopping.is_set():
                    return  # it may or may not come into the chain; both are right
            nonce += 1

    def _is_final(self, dice, raw, tx):
        node = dice.choice(self.net.nodes)
        try:
            node.rpc("eth_sendRawTransaction", raw)
        except (RpcError, OSError):
            pass  # known already, its nonce is used, or the node is down
        end = time.monotonic() + 1.5
        while time.monotonic() < end and not self.stopping.is_set():
            try:
                receipt = node.rpc("eth_getTransactionReceipt", tx)
                if receipt and int(receipt["blockNumber"], 16) <= node.rpc.finalised():
                    return True
            except (RpcError, OSError):
                return False
            time.sleep(0.1)
        return False

    def _read(self, _, dice):
        while not self.stopping.is_set():
            index = dice.randrange(len(self.net.nodes))
            node, who, method = self.net.nodes[index], dice.randrange(len(ACCOUNTS)), dice.choice(list(KINDS))
            try:
                before = node.rpc.finalised()
                value = int(node.rpc(method, ACCOUNTS[who], "finalized"), 16)
                after = node.rpc.finalised()
            except (RpcError, OSError):
                time.sleep(0.05)
                continue
            if after < before:
                self.failures.append(f"node{index} went back from final height {before} to {after}")
            with self.lock:
                self.reads.append((index, before, after, who, method, value))
            time.sleep(0.01)


def disturb(net, seconds, dice):
    """Kills one node, now and then two, and starts them again a moment later."""
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        victims = dice.sample(net.nodes, 2 if dice.random() < 0.25 else 1)
        shown = [node.rpc.finalised() for node in victims]
        for node in victims:
            node.process.kill()
            kills += 1
        time.sleep(dice.uniform(0.2, 2))
        for node in victims:
            node.process.start()
        for node, height in zip(victims, shown):
            wait_until(f"{node.process.name} answers", node.is_up, 30)
            expect(node.rpc.finalised() >= height, f"{node.process.name} still has its final height {height} after kill -9")
        time.sleep(dice.uniform(0.5, 2))
    return kills


def replay(rpc, last):
    """Balances and nonces of ACCOUNTS after each final block, and every transaction of the chain in order."""
    state = {who: (rpc.balance(who, "0x0"), 0) for who in ACCOUNTS}
    history, included = [dict(state)], []
    for height in range(1, last + 1):
        receipts = {r["transactionHash"]: r for r in rpc("eth_getBlockReceipts", hex(height))}
        for tx in rpc("eth_getBlockByNumber", hex(height), True)["transactions"]:
            receipt = receipts[tx["hash"]]
            fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
            value = int(tx["value"], 16) if receipt["status"] == "0x1" else 0
            if tx["from"] in state:
                balance, nonce = state[tx["from"]]
                expect_equal(int(tx["nonce"], 16), nonce, f"nonce of a transaction of {tx['from']} in block {height}")
                state[tx["from"]] = (balance - value - fee, nonce + 1)
                included.append(tx["hash"])
            if tx["to"] in state:
                balance, nonce = state[tx["to"]]
                state[tx["to"]] = (balance + value, nonce)
        history.append(dict(state))
    return history, included


def check(net, clients):
    last = min(net.heights())
    history, included = replay(net.rpc, last)
    for index, before, after, who, method, value in clients.reads:
        possible = {history[h][ACCOUNTS[who]][KINDS[method]] for h in range(before, min(after, last) + 1)}
        expect(value in possible, f"node{index}: {method} of {ACCOUNTS[who]} gave {value} between the final heights "
               f"{before} and {after}; the chain has {sorted(possible)}")
    expect_equal(len(set(included)), len(included), "transactions that are in the chain once")
    expect(set(included) <= set(clients.sent), "no transaction in the chain that nobody sent")
    acknowledged = {}
    for who, nonce in clients.sent.values():
        acknowledged[who] = max(acknowledged.get(who, 0), nonce)
    for who, nonce in acknowledged.items():  # all but the last of a sender were seen final by it
        expect(history[last][who][1] >= nonce, f"{who} saw {nonce} transactions final, the chain has {history[last][who][1]}")
    for node in net.nodes:
        for who in ACCOUNTS:
            found = (node.rpc.balance(who, hex(last)), int(node.rpc("eth_getTransactionCount", who, hex(last)), 16))
            expect_equal(found, history[last][who], f"balance and nonce of {who} at {node.process.name}")
    return last, len(included)


def run(test):
    seconds, seed = float(os.environ.get("HISTORY_SECONDS", 30)), int(os.environ.get("HISTORY_SEED", 1))
    net = Devnet(test).start()
    expect(not set(ACCOUNTS) & set(DEV), "accounts of their own")
    clients = Clients(net, int(net.rpc("eth_chainId"), 16))
    clients.start()
    kills = disturb(net, seconds, random.Random(seed))
    clients.stop()
    net.wait_growth(net.nodes, 3, 90)
    net.expect_agreement()
    last, count = check(net, clients)
    expect(count > 10 and len(clients.reads) > 100, f"clients were busy: {count} transactions, {len(clients.reads)} reads")
    say(f"{kills} kills, {count} transactions and {len(clients.reads)} reads fit one history of {last} final blocks")


if __name__ == "__main__":
    main(run)
