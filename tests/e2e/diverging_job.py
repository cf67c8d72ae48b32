# SPDX-License-Identifier: Apache-2.0
"""Training that ends in Inf or NaN. Whoever trains such a job claims the step, is paid up to it and not fined, and the client learns why and has
the rest back; whoever claims it of a sound job pays half a segment's price, and an honest provider finishes the job."""
import math
import struct

from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

STEPS, PRICE, FEE = 4, 2, COIN // 100
CLIENT, HONEST, LIAR = 0, 1, 2
SEED = "0x" + f"{1:064x}"  # with it the second step of the second segment diverges
DIVERGED = "SegmentDiverged(uint256,uint32,address,uint32)"
VOID = "SegmentVoid(uint256,uint32,address,uint256)"
FINED = "ProviderFined(uint256,address,uint256)"


def diverging_program(test, data):
    """A deep perceptron at the highest rate of learning, its gradients clipped at a million instead of one: no template makes such."""
    path = test.folder / "diverging.program"
    test.cli("program", "new", "mlp", "--data", data, "--out", path, "--layers", 4, "--hidden", 32, "--optimiser", "sgd", "--learning-rate", 1,
             "--steps", 3 * STEPS, "--segment", STEPS, "--micro-batches", 2, "--sequences", 4)
    encoded, clip = path.read_bytes(), lambda limit: b"\x84" + struct.pack(">f", limit)
    at = encoded.rindex(clip(1.0))
    path.write_bytes(encoded[:at] + clip(1e6) + encoded[at + 5:])
    return path


def stake_of(net, account):
    found = [int(p["stake"], 16) for p in net.rpc("yard_providers")["providers"] if p["address"] == DEV[account]]
    return found[0] if found else 0


def paid(net, job):
    """Of each final segment, with the fee that is burned."""
    return [log_word(log, 0) + log_word(log, 1) for log in net.rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", job)]


def submit_diverging(net, test):
    data = test.folder / "shapes.tyd"
    test.cli("data", "shapes", "--out", data)
    posted = test.json("job", "submit", "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}", "--data", data, "--program",
                       diverging_program(test, data), "--price", PRICE, "--audit-fee", "0.01", "--segment-blocks", 480, "--seed", SEED)
    say(f"job {posted['id']} has a program that diverges")
    return posted


def is_claimed(net, provider, job):
    event = wait_until("the provider claims a divergence", lambda: events_of(provider, "diverged"), 60)[0]
    log = net.rpc.logs(MARKET, DIVERGED, job)[0]
    seg, step = int(log["topics"][2], 16), log_word(log, 0)
    expect_equal((event["seg"], event["step"], event["steps"]), (seg, step, STEPS), "what the provider tells")
    say(f"segment {seg} diverges at its step {step} of {STEPS}")
    return seg, step


def is_shown(net, test, job, seg, step):
    url = net.nodes[0].url
    view = net.job(job)
    expect_equal((view["outcome"], int(view["segments"][seg]["divergesAt"], 16)), ("diverged", step), "what yard_job says")
    status = test.cli("job", "status", job, "--rpc", url).out
    for words in (f"diverges at step {step} of {STEPS}", f"training diverges (Inf or NaN) at step {step} of {STEPS} of segment {seg}", "lower --learning-rate"):
        expect(words in status, f"'{words}' is not in\n{status}")
    told = test.json("job", "status", job, "--rpc", url)
    last = told["segmentList"][seg]
    expect_equal((told["outcome"], last["divergesAt"], last["loss"]), ("diverged", step, None), "job status --json")
    expect_equal([s["divergesAt"] for s in told["segmentList"][:seg]], [0] * seg, "segments before it")
    verdict = test.json("verify", "--job", job, "--segment", seg, "--rpc", url, "--no-cuda")
    expect_equal(verdict, {"event": "done", "job": job, "matches": 1, "mismatches": 0, "unjudged": 0}, "a replay of the claim")
    beyond = test.cli("verify", "--job", job, "--segment", 3, "--rpc", url, "--no-cuda", code=1).text
    expect(f"job {job} has 3 segments, counted from 0" in beyond, beyond)
    words = test.cli("verify", "--job", job, "--segment", seg, "--rpc", url, "--no-cuda").out
    expect(f"match, training diverges at step {step} of {STEPS} of segment {seg}" in words, words)


def is_settled(net, test, provider, posted, seg, step):
    job, url = posted["id"], net.nodes[0].url
    view = net.wait_job(job, "is closed", lambda j: j["state"] == "closed", 60)
    expect_equal((view["outcome"], int(view["finalSegments"], 16)), ("diverged", seg + 1), "outcome and final segments")
    expect_equal(int(view["modelToken"], 16) > 0, seg > 0, "a token for what the segments before it made")
    price = PRICE * COIN
    expect_equal(paid(net, job), [price] * seg + [price * step // STEPS], "what the segments cost")
    opened = net.rpc.logs(MARKET, "AuditOpened(uint256,uint32,uint8,uint8,address[],bytes32)", job)
    levels = [(log_word(log, 0), log_word(log, 1)) for log in opened if int(log["topics"][2], 16) == seg]
    expect_equal(levels, [(3, 0)], "audits of the claim: the pair alone")
    closed = net.rpc.logs(MARKET, "JobClosed(uint256,uint8,uint256,uint256)", job)[0]
    expect(int(posted["escrowWei"]) - sum(paid(net, job)) > log_word(closed, 1) > int(posted["escrowWei"]) - sum(paid(net, job)) - 30 * FEE,
           f"a refund of {log_word(closed, 1)}")
    for event in (FINED, VOID):
        expect_equal(net.rpc.logs(MARKET, event, job), [], event)
    wait_until("the provider has its pay", lambda: events_of(provider, "paid"), 30)
    watched = test.cli("job", "status", job, "--wait", "--rpc", url, code=1).out
    expect("(diverged)" in watched and "lower --learning-rate" in watched, watched)
    if seg > 0:
        test.cli("job", "download", job, "--rpc", url, "--out", test.folder / f"model {job}")
        expect(math.isfinite(test.json("job", "status", job, "--rpc", url)["segmentList"][seg - 1]["loss"]), "loss of the model")
    earned = test.json("provider", "earnings", DEV[HONEST], "--rpc", url)
    expect_equal((earned["lostWei"], earned["pending"]["wei"]), ("0", "0"), "earnings of an honest provider")


def liar_is_found_out(net, test):
    liar = net.provider("liar", LIAR, "--fault", "diverge").start()
    job = net.submit(2, STEPS, str(PRICE), CLIENT)["id"]
    wait_until("the liar claims a divergence", lambda: events_of(liar, "diverged"), 60)
    staked = stake_of(net, LIAR)
    void = wait_until("its claim falls", lambda: net.rpc.logs(MARKET, VOID, job), 60)[0]
    expect_equal((void["topics"][3][-40:], log_word(void, 0)), (DEV[LIAR][2:], 0), "whose, and what is slashed")
    fines = [(log["topics"][2][-40:], log_word(log, 0)) for log in net.rpc.logs(MARKET, FINED, job)]
    expect_equal(fines, [(DEV[LIAR][2:], PRICE * COIN // 2)], "fines")
    expect_equal(stake_of(net, LIAR), staked - PRICE * COIN // 2, "stake of the liar")
    wait_until("the liar hears of it", lambda: [e for e in events_of(liar, "voided") if f"do not confirm that training diverges at step 2 of {STEPS} of segment 0" in e["text"]], 30)
    liar.stop()
    say("a false claim costs half a segment's price")
    return job


def run(test):
    net = Devnet(test, windowBlocks=24).start()
    job = liar_is_found_out(net, test)
    provider = net.provider("provider", HONEST).start()
    done = net.wait_job(job, "is closed", lambda j: j["state"] == "closed", 90)
    expect_equal((done["outcome"], done["provider"]), ("complete", DEV[HONEST]), "outcome, and who finished it")
    posted = submit_diverging(net, test)
    seg, step = is_claimed(net, provider, posted["id"])
    provider.kill()
    provider.start()
    is_shown(net, test, posted["id"], seg, step)
    is_settled(net, test, provider, posted, seg, step)
    net.expect_sums(DEV[CLIENT], DEV[HONEST], DEV[LIAR])
    net.expect_agreement()


main(run)
