# SPDX-License-Identifier: Apache-2.0
"""Stake moves by the command line: joining, delegating, an election, exits."""
import json

from harness import COIN, DEV, STAKING, expect, expect_equal, free_ports, main, say, wait_until
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


def restart(test, net):
    """A node that was killed reads the set of its epoch from the state on its disk."""
    net.nodes[1].process.kill()
    net.wait_growth(net.nodes[:1], 3)
    net.nodes[1].process.start()
    wait_until("node1 answers", net.nodes[1].is_up, 30)
    net.wait_growth(net.nodes, 5, 120)
    for node in net.nodes:
        expect("unreadable" not in node.process.text(), f"{node.process.name} reads every set")
    say("killed and started again in a later epoch")


def run(test):
    net = Devnet(test).start()
    operator = join(test, net)
    delegate(test, net, operator)
    elected(test, net, operator)
    restart(test, net)
    net.expect_agreement()


if __name__ == "__main__":
    main(run)
