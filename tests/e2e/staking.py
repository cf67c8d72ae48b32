# SPDX-License-Identifier: Apache-2.0
"""Stake moves by the command line: joining, delegating, an election, exits; and a key on two machines."""
import json
import shutil

from harness import COIN, DEV, STAKING, expect, expect_equal, free_ports, log_word, main, say, wait_until
from network import Devnet

EPOCH = 64  # genesis/devnet.json


def listed(test, net):
    lines = test.cli("--json", "validator", "list", "--rpc", net.nodes[0].url).out.splitlines()
    return {entry["operator"]: entry for entry in map(json.loads, lines)}


def status(test, net, *arguments):
    return test.json("validator", "status", "--rpc", net.nodes[0].url, *arguments)


def join(test, net):
    """A newcomer is funded, registers, and stands in the list; wrong commands say what is wrong."""
    rpc = ["--rpc", net.nodes[0].url]
    made = test.json("account", "validator", "--keystore", test.folder / "keys", "--light")
    operator = made["address"]
    no_money = test.cli("validator", "register", "--keys", test.folder / "keys", "--stake", 200, *rpc, code=1)
    expect("insufficient funds" in no_money.text or "funds" in no_money.text, f"without money: {no_money.text}")
    test.cli("account", "send", operator, "--amount", 500, "--key", "dev:0", *rpc)
    test.cli("validator", "register", "--keys", test.folder / "keys", "--stake", "much", *rpc, code=2)
    test.cli("validator", "register", "--keys", test.folder / "keys", "--stake", 200, "--commission", "7.5", *rpc)
    again = test.cli("validator", "register", "--keys", test.folder / "keys", "--stake", 200, *rpc, code=1)
    expect("registered already" in again.text, again.text)
    entry = listed(test, net)[operator]
    expect_equal((entry["selfWei"], entry["commissionBps"], entry["standing"]), (str(200 * COIN), 750, "eligible"), "the newcomer")
    http, p2p = free_ports(2)
    test.process("newcomer", "node", "--genesis", net.folder / "genesis.json", "--datadir", test.folder / "newcomer",
                 "--keys", test.folder / "keys", "--http.port", http, "--p2p.port", p2p).start()
    say(f"{operator} has joined, and its node follows")
    return operator


def delegate(test, net, operator):
    """dev:1 backs the newcomer, takes a part back, and waits for it."""
    own = ["--key", "dev:1", "--rpc", net.nodes[0].url]
    test.cli("validator", "delegate", operator, "--amount", 100, *own)
    expect_equal(status(test, net, operator, "--key", "dev:1")["own"]["delegatedWei"], str(100 * COIN), "dev:1's part")
    test.cli("validator", "undelegate", operator, "--amount", 40, *own)
    too_much = test.cli("validator", "undelegate", operator, "--amount", 61, *own, code=1)
    expect("only 60 coins" in too_much.text, too_much.text)
    part = status(test, net, operator, "--key", "dev:1")["own"]
    expect_equal((part["delegatedWei"], [e["amountWei"] for e in part["exits"]]), (str(60 * COIN), [str(40 * COIN)]), "what is left")
    test.cli("validator", "undelegate", "0x1234", "--amount", 1, *own, code=2)
    unknown = test.cli("validator", "delegate", DEV[2], "--amount", 1, *own, code=1)
    expect("no such validator" in unknown.text, unknown.text)
    test.cli("validator", "unjail", *own, code=1)
    say("100 coins delegated, 40 on their way out")


def elected(test, net, operator):
    """The end of an epoch elects the newcomer for the epoch after the next; tips are claimed by their leaders."""
    wait_until("the end of the epoch", lambda: net.rpc.finalised() > EPOCH, 120, every=1)
    entry = status(test, net, operator)
    expect(entry["epoch"] >= 2 and entry["seatWeightGwei"] == 260 * COIN // 10**9, f"elected: {entry}")
    turns = [status(test, net, who) for who in net.operators]
    expect(sum(t["led"] for t in turns) > 0, "turns of leaders are counted")
    rewards = sum(net.rpc.view(STAKING, "rewardsOf(address)", who)[0] for who in net.operators)
    expect(rewards > 0, "tips of the transactions are booked to leaders")
    paid = test.json("validator", "withdraw", "--rpc", net.nodes[0].url, "--key", net.folder / "node-0" / "keys" / "account.json",
                     "--password-file", net.folder / "node-0" / "keys" / "password")
    expect_equal(net.rpc.balance(STAKING) >= 4000 * COIN, True, "the stake is still there")
    wait_until("epoch 2 and a turn of the newcomer in it", lambda: status(test, net, operator)["led"] > 0, 120, every=1)
    say(f"elected for epoch {entry['epoch']}, and leads; {rewards} wei of tips booked, {paid['rewardsWei']} claimed")


def two_machines(test, net):
    """One key on two machines: sooner or later both lead one view, and whoever sees two blocks reports it."""
    keys, copy = net.folder / "node-3" / "keys", test.folder / "copied-keys"
    shutil.copytree(keys, copy)
    # An identity of its own on the wire, so that neither pushes the other out; another account, so that their blocks differ.
    for name in ("p2p.json", "account.json"):
        made = test.json("account", "new", "--keystore", test.folder / "others", "--password-file", keys / "password", "--light")
        shutil.copy(made["path"], copy / name)
    operator = "0x" + json.loads((keys / "account.json").read_text())["address"].removeprefix("0x")
    http, p2p = free_ports(2)
    test.process("copy", "node", "--genesis", net.folder / "genesis.json", "--datadir", test.folder / "copy",
                 "--keys", copy, "--http.port", http, "--p2p.port", p2p, "--no-doppelganger-check").start()

    slashed = wait_until("node 3 is slashed", lambda: (lambda s: s if s["tombstoned"] else None)(status(test, net, operator)), 120, every=1)
    expect_equal((slashed["selfWei"], slashed["weightGwei"]), (str(950 * COIN), 0), "what is left of 1000 coins, and of the weight")
    words = f"validator {operator} is slashed for conflicting votes"
    wait_until("a node logs its report", lambda: any(words in process.text() for process in test.processes), 20)
    logs = net.rpc.logs(STAKING, "Slashed(address,uint8,uint256,address,uint256)", operator)
    expect_equal([log_word(logs[0], i) for i in (1, 2)], [50 * COIN, 50 * COIN // 20], "taken, and the reporter's part of it")
    say("two machines with one key: slashed 50 coins, never elected again")


def run(test):
    net = Devnet(test).start()
    operator = join(test, net)
    delegate(test, net, operator)
    elected(test, net, operator)
    two_machines(test, net)
    net.expect_agreement()


if __name__ == "__main__":
    main(run)
