# SPDX-License-Identifier: Apache-2.0
"""An outsider challenges a right segment inside its window: all validators replay it, it is paid later, and the bond pays them and the provider."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of
from signing import KEYS, address_of

SEGMENTS, STEPS, PRICE, FEE = 2, 2, 2, COIN // 100
CLIENT, PROVIDER = 0, 1
KEY = KEYS[3]
OUTSIDER = address_of(KEY)
BOND = 2 * PRICE * COIN + 7 * FEE  # k2 of genesis/devnet.json
CHALLENGED = "SegmentChallenged(uint256,uint32,address,uint256)"
SETTLED = "ChallengeSettled(uint256,uint32,address,bool,uint256)"


def challenge(net, seg):
    rpc = net.rpc
    net.wait_job(0, f"has segment {seg} accepted", lambda job: len(job["segments"]) > seg and job["segments"][seg]["state"] == "accepted")
    expect_equal(rpc.view(MARKET, "challengeBond(uint256,uint32)", 0, seg), [BOND], "the bond")
    receipt = rpc.send(KEY, MARKET, "challenge(uint256,uint32)", 0, seg, value=BOND)
    say(f"segment {seg} is challenged in block {int(receipt['blockNumber'], 16)}")


def is_shown(net, test, seg):
    segment = net.job(0)["segments"][seg]
    expect_equal(segment["challenge"], {"challenger": OUTSIDER, "number": "0x1", "bond": hex(BOND)}, "what yard_job says")
    status = test.cli("job", "status", 0, "--rpc", net.nodes[0].url).out
    expect(f"challenged by {OUTSIDER}" in status, status)


def settled(net, test, provider):
    rpc = net.rpc
    log = wait_until("the challenge is settled", lambda: rpc.logs(MARKET, SETTLED, 0), 120)[0]
    expect_equal((log_word(log, 0), log_word(log, 1)), (0, 0), "won and returned")
    rounds = [(log_word(l, 0), log_word(l, 1), log_word(l, 4)) for l in rpc.logs(MARKET, "AuditOpened(uint256,uint32,uint8,uint8,address[],bytes32)", 0)]
    expect((3, 2, len(net.operators)) in rounds, f"no committee of all validators in {rounds}")
    say(f"settled in block {int(log['blockNumber'], 16)}")
    net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 120)
    expect_equal(len(rpc.logs(MARKET, "SegmentAccepted(uint256,uint32,bool)", 0)), SEGMENTS + 1, "times that a segment was accepted")
    expect_equal(len(rpc.logs(MARKET, "AuditorFined(uint256,uint32,address,uint256,string)", 0)), 0, "fined auditors")
    wait_until("the provider has its pay", lambda: events_of(provider, "paid"), 30)
    finals = sum(log_word(log, 0) for log in rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0))
    drawn = sum(log_word(log, 0) for log in rpc.logs(MARKET, "Withdrawn(address,uint256)", DEV[PROVIDER]))
    expect_equal(drawn, finals + PRICE * COIN, "what the provider withdrew: its pay and half of what the bond left")
    told = test.json("provider", "earnings", DEV[PROVIDER], "--rpc", net.nodes[0].url)
    expect_equal((told["gainedWei"], told["sumWei"]), (str(PRICE * COIN), str(drawn)), "earnings, with the half")
    net.expect_sums(DEV[CLIENT], DEV[PROVIDER], OUTSIDER)


def run(test):
    net = Devnet(test, windowBlocks=60).start()
    provider = net.provider("provider", PROVIDER).start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT)
    challenge(net, 0)
    is_shown(net, test, 0)
    settled(net, test, provider)
    net.expect_agreement()


main(run)
