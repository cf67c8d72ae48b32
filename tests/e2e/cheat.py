# SPDX-License-Identifier: Apache-2.0
"""A provider that skips steps is caught by the audits, loses its bond, and the client gets its money back."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

SEGMENTS, STEPS, PRICE = 2, 2, 3
CLIENT, CHEAT = 0, 2
BOND = 24 * PRICE * COIN  # bondFactor of genesis/devnet.json


def stake_of(net):
    return next(int(p["stake"], 16) for p in net.rpc("yard_providers")["providers"] if p["address"] == DEV[CHEAT])


def caught(net):
    logs = lambda: net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0)
    void = wait_until("an audit voids a segment", logs, 120)[0]
    expect_equal(void["topics"][3][-40:], DEV[CHEAT][2:], "provider of the void segment")
    expect_equal(log_word(void, 0), BOND, "what was slashed")
    say(f"caught in block {int(void['blockNumber'], 16)}: {BOND} wei slashed")


def refunded(net, test, posted, before):
    """The other segment may still be under audit when the client cancels; then validators close the job after that."""
    test.cli("job", "cancel", 0, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
    job = net.wait_job(0, "is closed", lambda job: job["state"] == "closed")
    expect_equal((job["outcome"], int(job["finalSegments"], 16)), ("cancelled", 0), "outcome and final segments")
    expect_equal(int(job["modelToken"], 16), 0, "a token for a model that was not trained")
    closed = net.rpc.logs(MARKET, "JobClosed(uint256,uint8,uint256,uint256)", 0)
    expect_equal([log_word(log, 1) for log in closed], [int(posted["escrowWei"])], "refund")
    cancelled = net.rpc.logs(MARKET, "JobCancelled(uint256)", 0)[0]["transactionHash"]
    drawn = net.rpc.logs(MARKET, "Withdrawn(address,uint256)", DEV[CLIENT])
    fees = sum(net.rpc.fee_of(tx) for tx in {posted["tx"], cancelled, *(log["transactionHash"] for log in drawn)})
    credit = net.rpc.view(MARKET, "credit(address)", DEV[CLIENT])[0]
    expect_equal(before - net.rpc.balance(DEV[CLIENT]) - credit, fees, "what the client lost beside the gas")
    say(f"the client has all of its {posted['escrowWei']} wei back, {credit} of it on credit")


def run(test):
    net = Devnet(test).start()
    before = net.rpc.balance(DEV[CLIENT])
    cheat = net.provider("cheat", CHEAT, "--fault", "skip-steps").start()
    posted = net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[CHEAT])
    wait_until("the cheat commits", lambda: events_of(cheat, "committed"), 60)
    staked = stake_of(net)
    caught(net)
    expect_equal(stake_of(net), staked - BOND, "stake of the cheat")
    refunded(net, test, posted, before)
    net.expect_sums(DEV[CLIENT], DEV[CHEAT])
    earned = test.json("provider", "earnings", DEV[CHEAT], "--rpc", net.nodes[0].url)
    expect_equal((earned["lostWei"], earned["final"]["30 days"]["wei"], earned["pending"]["wei"]), (str(BOND), "0", "0"), "earnings of the cheat")
    expect_equal(([booking["kind"] for booking in earned["bookings"]], earned["sumWei"]), (["slashed"], str(-BOND)), "its bookings and their sum")
    wait_until("the cheat hears of it", lambda: events_of(cheat, "voided"), 30)
    expect(cheat.is_alive(), "the provider's program ended")
    net.expect_agreement()


main(run)
