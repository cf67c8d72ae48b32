# SPDX-License-Identifier: Apache-2.0
"""Three of four auditors say of right segments that they are wrong, all with one number, and so convict them. The provider appeals by itself; a
liar that goes before the referee finds nothing to point at and loses its bond, the others let it be. The segments are paid, the liars fined."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

SEGMENTS, STEPS, PRICE = 2, 2, 2
CLIENT, PROVIDER = 0, 1
LIARS, DISPUTES = (0, 1, 2), 0
BOND = 2 * PRICE * COIN  # of an appeal, and of a dispute
FINE = 10 * COIN // 100  # deviationFactor of genesis/devnet.json times the job's audit fee
SETTLED = "DisputeSettled(uint256,uint32,address,bool,uint256)"


def stake_of(net):
    return next(int(p["stake"], 16) for p in net.rpc("yard_providers")["providers"] if p["address"] == DEV[PROVIDER])


def operator_of(node):
    return next(member["operator"].lower() for member in node.rpc("yard_validators") if member["self"])


def lie(net):
    for i in LIARS:
        net.nodes[i].process.command += ["--fault", "accuse"]
        if i != DISPUTES:
            net.nodes[i].process.command += ["--verifier.dispute-max-coins", "0"]


def convicted(net, provider):
    events = wait_until("every segment is convicted", lambda: len(found := events_of(provider, "convicted")) == SEGMENTS and found, 60)
    say(f"the committee convicts {len(events)} segments")
    appeals = wait_until("the provider appeals", lambda: len(found := events_of(provider, "appealed")) == SEGMENTS and found, 30)
    expect_equal(sorted(event["seg"] for event in appeals), list(range(SEGMENTS)), "segments that it appeals for")


def liar_loses(net):
    settled = wait_until("a liar's time runs out", lambda: net.rpc.logs(MARKET, SETTLED, 0), 60)
    liar = operator_of(net.nodes[DISPUTES])
    for log in settled:
        expect_equal(("0x" + log["topics"][3][-40:], log_word(log, 0), log_word(log, 1)), (liar, 0, 0), "who lost, and what came back")
    said = net.nodes[DISPUTES].process.text()
    expect("there is nothing to point at" in said, "the liar's node does not say why it lost")


def acquitted(net, provider):
    job = net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 60)
    expect_equal((job["outcome"], int(job["finalSegments"], 16)), ("complete", SEGMENTS), "outcome and final segments")
    expect(int(job["modelToken"], 16) > 0, "no model was minted")
    appeals = net.rpc.logs(MARKET, "AppealSettled(uint256,uint32,address,bool,uint256)", 0)
    expect_equal([(log_word(log, 0), log_word(log, 1)) for log in appeals], [(1, BOND)] * SEGMENTS, "appeals: won, and what came back")
    expect_equal(net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0), [], "void segments")
    wait_until("the provider has its pay", lambda: events_of(provider, "paid"), 30)
    expect_equal(len(events_of(provider, "acquitted")), SEGMENTS, "acquittals that the provider tells of")


def liars_pay(net, provider):
    """Each seat of a liar, in pair and committee, and none of the honest auditor, whom the lying majority outvoted."""
    fines = net.rpc.logs(MARKET, "AuditorFined(uint256,uint32,address,uint256,string)", 0)
    fined = [("0x" + log["topics"][3][-40:], log_word(log, 0)) for log in fines]
    expect_equal({who for who, _ in fined}, {operator_of(net.nodes[i]) for i in LIARS}, "who is fined")
    expect_equal({amount for _, amount in fined}, {FINE}, "fines")
    expect(len(fined) >= SEGMENTS * (len(LIARS) + 1), f"only {len(fined)} seats are fined")
    lost = len(net.rpc.logs(MARKET, SETTLED, 0))
    finals = sum(log_word(log, 0) for log in net.rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0))
    due = finals + SEGMENTS * BOND + len(fined) * FINE // 2 + lost * BOND // 2
    drawn = lambda: sum(log_word(log, 0) for log in net.rpc.logs(MARKET, "Withdrawn(address,uint256)", DEV[PROVIDER]))
    wait_until("the provider has drawn all that is due", lambda: drawn() == due, 20)
    say(f"{len(fined)} seats are fined, {lost} disputes lost; the provider has its pay, its bonds and half of both")


def run(test):
    net = Devnet(test, replayBps=10_000, windowBlocks=16, moveBlocks=8)
    lie(net)
    net.start()
    provider = net.provider("provider", PROVIDER).start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[PROVIDER], segment_blocks=20)
    wait_until("the provider commits", lambda: events_of(provider, "committed"), 60)
    staked = stake_of(net)
    convicted(net, provider)
    liar_loses(net)
    acquitted(net, provider)
    expect_equal(stake_of(net), staked, "the provider's stake")
    liars_pay(net, provider)
    net.expect_sums(DEV[CLIENT], DEV[PROVIDER])
    net.expect_agreement()


main(run)
