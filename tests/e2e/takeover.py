# SPDX-License-Identifier: Apache-2.0
"""A provider dies and loses its job to the deadline; another goes on from its state, and the first comes back for what is due to it."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

SEGMENTS, STEPS, PRICE = 6, 8, 2
CLIENT, FIRST, SECOND = 0, 1, 2
DEADLINE_BLOCKS = 40


def lose_by_deadline(net, first, second):
    net.wait_job(0, "has two segments", lambda job: int(job["tip"], 16) >= 2)
    first.kill()
    net.wait_growth(net.nodes, 4)  # a commitment may be on its way
    tip = int(net.job(0)["tip"], 16)
    expect(tip < SEGMENTS, "the job was over before its provider could be killed")
    say(f"the first provider is killed after {tip} of {SEGMENTS} segments")
    second.start()
    taken = lambda: events_of(second, "taken")
    wait_until("the second provider takes the job", taken, 60)
    return tip


def check_segments(net, tip):
    job = net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 120)
    expect_equal(job["outcome"], "complete", "outcome")
    voids = net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0)
    expect_equal(len(voids), 0, "segments that were declared void")
    whose = [segment["provider"] for segment in job["segments"]]
    expect_equal(whose, [DEV[FIRST]] * tip + [DEV[SECOND]] * (SEGMENTS - tip), "providers of the segments")
    model = net.rpc("yard_models")["models"][0]
    expect_equal(model["stateRoot"], job["tipRoot"], "state root of the model")


def check_money(net, first, second):
    for name, process in (("first", first), ("second", second)):
        wait_until(f"the {name} provider has its pay", lambda process=process: events_of(process, "paid"), 30)
    finals = net.rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0)
    paid = sum(log_word(log, 0) for log in finals)
    drawn = {}
    for log in net.rpc.logs(MARKET, "Withdrawn(address,uint256)"):
        who = "0x" + log["topics"][1][-40:]
        drawn[who] = drawn.get(who, 0) + log_word(log, 0)
    expect_equal(drawn[DEV[FIRST]] + drawn[DEV[SECOND]], paid, "what both providers withdrew")
    fines = net.rpc.logs(MARKET, "ProviderFined(uint256,address,uint256)", 0)
    expect_equal([log_word(log, 0) for log in fines], [PRICE * COIN // 2], "fines: one missed deadline")
    for record in net.rpc("yard_providers")["providers"]:
        expect_equal(int(record["reserved"], 16), 0, f"stake of {record['name']} that is still bound")
    net.expect_sums(DEV[CLIENT], DEV[FIRST], DEV[SECOND])


def run(test):
    net = Devnet(test).start()
    first = net.provider("first", FIRST).start()
    second = net.provider("second", SECOND)
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, width=256, segment_blocks=DEADLINE_BLOCKS)
    tip = lose_by_deadline(net, first, second)
    first.start()
    check_segments(net, tip)
    check_money(net, first, second)
    say("both are paid for what they trained, and no stake stays bound")


main(run)
