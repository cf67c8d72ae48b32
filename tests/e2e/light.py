# SPDX-License-Identifier: Apache-2.0
"""A light client follows a devnet over the ends of epochs, proves an account, and sees through a node that lies."""
import json
import urllib.request

from harness import DEV, JsonServer, expect, expect_equal, main, say, wait_until
from network import Devnet


class Liar:
    """Passes JSON-RPC on to a node, but for what `twist` changes in an answer."""

    def __init__(self, url):
        self.twist = lambda method, result: result
        self.node = url
        self.url = JsonServer(self.answer).url

    def answer(self, body):
        request = urllib.request.Request(self.node, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            reply = json.loads(answer.read())
        if "result" in reply:
            reply["result"] = self.twist(json.loads(body)["method"], reply["result"])
        return reply


def flipped(data, at):
    """The same 0x-text with one other digit."""
    return data[:at] + ("0" if data[at] != "0" else "1") + data[at + 1:]


def run(test):
    net = Devnet(test).start()
    genesis = net.folder / "genesis.json"
    length = int(json.loads(genesis.read_text())["config"]["trainyard"]["epochLength"])
    store = test.folder / "light.json"
    command = ["light", "--genesis", genesis, "--account", DEV[0]]
    first = test.json(*command, "--rpc", net.nodes[0].url)
    expect(first["number"] >= 1, "a final block")
    expect_equal(int(first["accounts"][0]["balanceWei"]), net.rpc.balance(DEV[0], hex(first["number"])), "the proven balance")
    wait_until(f"two epochs of {length} blocks", lambda: net.rpc.finalised() > 2 * length, 2 * length)
    later = test.json(*command, "--rpc", net.nodes[1].url, "--store", store)
    expect(later["epoch"] >= 2, f"epochs were followed: {later}")
    block = net.rpc("eth_getBlockByNumber", hex(later["number"]), False)
    expect_equal((later["hash"], later["stateRoot"]), (block["hash"], block["stateRoot"]), "the block that it calls final")
    again = test.json(*command, "--rpc", net.nodes[2].url, "--store", store)
    expect(again["number"] >= later["number"], "it goes on from its file")
    say(f"followed {later['epoch']} epochs to block {later['number']}, and on to {again['number']} from its file")

    liar = Liar(net.nodes[0].url)
    lies = {
        "certificate": lambda m, r: r | {"certificate": flipped(r["certificate"], -1)} if m == "yard_boundary" and r else r,
        "witness": lambda m, r: r | {"witness": r["witness"][1:]} if m == "yard_boundary" and r else r,
        "header": lambda m, r: r | {"header": flipped(r["header"], 200)} if m == "yard_finality" and r else r,
        "account proof": lambda m, r: r | {"accountProof": r["accountProof"][:-1]} if m == "eth_getProof" else r,
    }
    for name, lie in lies.items():
        liar.twist = lie
        seen = test.cli(*command, "--rpc", liar.url, code=1)
        expect("error" in seen.text, f"a false {name} is refused: {seen.text}")
        say(f"false {name}: {seen.err.strip().splitlines()[-1]}")
    liar.twist = lambda method, result: result
    test.cli(*command, "--rpc", liar.url)
    boundary = net.rpc("eth_getBlockByNumber", hex(length), False)["hash"]
    test.cli(*command, "--rpc", liar.url, "--checkpoint", f"{length}:{boundary}")
    seen = test.cli(*command, "--rpc", liar.url, "--checkpoint", f"{length}:{flipped(boundary, 10)}", code=1)
    expect("another chain" in seen.text, f"a checkpoint of another chain is refused: {seen.text}")
    for number, words, flags in ((length, "cannot be compared any more", ["--store", store]), (0, "cannot be compared", []),
                                 (1000 * length, "has not got to the block", [])):
        seen = test.cli(*command, "--rpc", liar.url, "--checkpoint", f"{number}:{flipped(boundary, 10)}", *flags, code=1)
        expect(words in seen.text, f"a checkpoint that is not compared is no protection: {seen.text}")


if __name__ == "__main__":
    main(run)
