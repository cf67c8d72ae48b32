# SPDX-License-Identifier: Apache-2.0
"""A cheat that a committee has convicted appeals, which acquits it unless it is disputed: one of the auditors does that by itself, and the
cheat, which has nothing to show, falls."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of
from signing import KEYS

SEGMENTS, STEPS, PRICE = 1, 2, 2
CLIENT, CHEAT = 0, 2
BOND = 2 * PRICE * COIN  # of an appeal, and of a dispute
PROVIDER_BOND = 24 * PRICE * COIN  # bondFactor of genesis/devnet.json
BOUNTY = PROVIDER_BOND * 2000 // 10_000  # bountyBps


def appeal(net):
    """By hand: the program of a provider appeals only if its segment is right."""
    net.wait_job(0, "has a convicted segment", lambda job: job["segments"] and job["segments"][0]["state"] == "convicted", 120)
    receipt = net.rpc.send(KEYS[CHEAT], MARKET, "appeal(uint256,uint32)", 0, 0, value=BOND)
    say(f"the cheat appeals in block {int(receipt['blockNumber'], 16)}")


def disputed(net):
    log = wait_until("an auditor disputes", lambda: net.rpc.logs(MARKET, "SegmentDisputed(uint256,uint32,address,uint256)", 0), 60)[0]
    challenger = "0x" + log["topics"][3][-40:]
    expect(challenger in net.operators, f"{challenger} is no validator")
    expect_equal(log_word(log, 0), BOND, "the bond")
    say(f"{challenger} disputes in block {int(log['blockNumber'], 16)}")
    return challenger


def fallen(net, challenger):
    rpc = net.rpc
    void = wait_until("the cheat's time runs out", lambda: rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0), 120)
    expect_equal([(log["topics"][3][-40:], log_word(log, 0)) for log in void], [(DEV[CHEAT][2:], PROVIDER_BOND)], "void segments")
    settled = rpc.logs(MARKET, "DisputeSettled(uint256,uint32,address,bool,uint256)", 0)
    expect_equal([("0x" + log["topics"][3][-40:], log_word(log, 0)) for log in settled], [(challenger, 1)], "disputes")
    expect_equal(rpc.logs(MARKET, "AuditorFined(uint256,uint32,address,uint256,string)", 0), [], "fined auditors")
    credit = rpc.view(MARKET, "credit(address)", challenger)[0]
    expect(credit >= 2 * BOND + BOUNTY // 2, f"{credit} wei are less than both bonds and half of the bounty")


def run(test):
    net = Devnet(test, replayBps=10_000, windowBlocks=60).start()
    cheat = net.provider("cheat", CHEAT, "--fault", "made-up-sums").start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[CHEAT], segment_blocks=60)
    wait_until("the cheat commits", lambda: events_of(cheat, "committed"), 60)
    appeal(net)
    challenger = disputed(net)
    fallen(net, challenger)
    told = test.json("provider", "earnings", DEV[CHEAT], "--rpc", net.nodes[0].url)
    expect_equal((told["appealBondsWei"], told["appealBondsReturnedWei"], told["lostWei"]), (str(BOND), "0", str(PROVIDER_BOND)), "earnings of the cheat")
    expect_equal((told["sumWei"], [b["kind"] for b in told["bookings"]]), (str(-BOND - PROVIDER_BOND), ["appeal bond", "slashed"]), "their sum")
    cheat.stop()
    test.cli("job", "cancel", 0, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
    net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 60)
    net.expect_sums(DEV[CLIENT], DEV[CHEAT])
    net.expect_agreement()


main(run)
