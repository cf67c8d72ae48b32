# SPDX-License-Identifier: Apache-2.0
"""A provider dies by kill -9 in the middle of a job, goes on from its last segment, and everyone is paid what they are due."""
from harness import COIN, DEV, MARKET, MODELS, PROVIDERS, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

SEGMENTS, STEPS, PRICE = 6, 8, 2
CLIENT, PROVIDER = 0, 1


def crash_and_resume(net, provider):
    job = net.wait_job(0, "has two segments", lambda job: int(job["tip"], 16) >= 2)
    provider.kill()
    tip = int(net.job(0)["tip"], 16)
    expect(tip < SEGMENTS, "the job was over before its provider could be killed")
    say(f"provider killed after {tip} of {SEGMENTS} segments")
    roots = [segment["root"] for segment in job["segments"]]
    seen = len(events_of(provider))
    provider.start()
    notes = lambda: [e["text"] for e in events_of(provider, "note") if "going on with job 0" in e["text"]]
    say(wait_until("the provider takes its job up again", notes, 30)[0])
    closed = net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 120)
    expect_equal([segment["root"] for segment in closed["segments"]][:len(roots)], roots, "segments from before the crash")
    steps = [event["step"] for event in events_of(provider)[seen:] if event["event"] == "step"]
    expect(min(steps) > (tip - 1) * STEPS, f"step {min(steps)} was trained again after the crash at segment {tip}")
    return closed


def check_money(net, posted, before):
    rpc = net.rpc
    escrow = int(posted["escrowWei"])
    finals = rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0)
    paid, burned = (sum(log_word(log, i) for log in finals) for i in (0, 1))
    expect_equal(paid + burned, SEGMENTS * PRICE * COIN, "pay and burned fees of all segments")
    closed = rpc.logs(MARKET, "JobClosed(uint256,uint8,uint256,uint256)", 0)
    refund = log_word(closed[0], 1)
    expect_equal(before - rpc.balance(DEV[CLIENT]), escrow + rpc.fee_of(posted["tx"]), "what the client spent")
    expect_equal(rpc.view(MARKET, "credit(address)", DEV[CLIENT]), [refund], "the client's refund")
    drawn = rpc.logs(MARKET, "Withdrawn(address,uint256)")
    withdrawn = {}
    for log in drawn:
        who = "0x" + log["topics"][1][-40:]
        withdrawn[who] = withdrawn.get(who, 0) + log_word(log, 0)
    fees = sum(rpc.view(MARKET, "credit(address)", who)[0] + withdrawn.get(who, 0) for who in net.operators)
    expect_equal(withdrawn.get(DEV[PROVIDER]), paid, "what the provider withdrew")
    expect_equal(escrow, paid + burned + fees + refund, "the escrow, split into pay, burned fees, audit fees and refund")
    say(f"escrow {escrow} = {paid} paid + {burned} burned + {fees} for audits + {refund} back")
    net.expect_sums(DEV[CLIENT], DEV[PROVIDER])


def check_earnings(net, test):
    """`trainyard provider earnings` tells what the market's events and credits say, to the wei."""
    ask = lambda *words: ["provider", "earnings", *words, "--rpc", net.nodes[0].url]
    told = test.json(*ask(DEV[PROVIDER]))
    finals = net.rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0)
    paid = str(sum(log_word(log, 0) for log in finals))
    due = {"wei": paid, "segments": SEGMENTS}
    expect_equal((told["final"]["7 days"], told["final"]["30 days"]), (due, due), "earnings")
    expect_equal((told["pending"]["segments"], told["lostWei"], told["creditWei"]), (0, "0", "0"), "pending, lost, credit")
    expect_equal(told["jobs"]["0"]["final"], due, "earnings by job")
    seen = [(s["job"], s["segment"], s["state"], s["block"], s["tx"]) for s in told["segments"]]
    expect_equal(seen, [(0, i, "final", int(log["blockNumber"], 16), log["transactionHash"]) for i, log in enumerate(finals)], "segments")
    block = net.rpc("eth_getBlockByNumber", finals[0]["blockNumber"], False)
    expect_equal(told["segments"][0]["time"], int(block["timestamp"], 16), "time of the first pay")
    rows = test.cli(*ask("--key", f"dev:{PROVIDER}", "--csv")).out.splitlines()
    expect_equal(rows[0], "job,segment,state,time,block,coins,tx", "first row")
    expect_equal((len(rows), rows[1].split(",")[:3]), (1 + SEGMENTS, ["0", "0", "final"]), "rows")
    text = test.cli(*ask(DEV[PROVIDER], "--days", "2")).out
    expect("2 days" in text and "30 days" not in text and f"{SEGMENTS} segments final" in text, text)
    other = test.json(*ask(DEV[CLIENT]))
    expect_equal((other["segments"], other["final"]["30 days"]["wei"]), ([], "0"), "earnings of who trains nothing")
    expect("name a provider" in test.cli(*ask(), code=2).text, "nobody named")
    say(f"earnings: {paid} wei for {SEGMENTS} segments")


def check_model(net, job):
    expect_equal(job["outcome"], "complete", "outcome")
    models = net.rpc("yard_models")
    expect_equal(models["total"], "0x1", "minted models")
    model = models["models"][0]
    expect_equal(model["owner"], DEV[CLIENT], "owner of the model")
    expect_equal(model["stateRoot"], job["tipRoot"], "state root of the model")
    expect_equal(int(model["segments"], 16), SEGMENTS, "segments of the model")
    expect_equal(net.rpc.view(MODELS, "totalSupply()"), [1], "tokens")


def check_stake(net):
    record = next(p for p in net.rpc("yard_providers")["providers"] if p["address"] == DEV[PROVIDER])
    expect_equal(int(record["reserved"], 16), 0, "stake that is still bound to the job")
    expect_equal(net.rpc.balance(PROVIDERS), int(record["stake"], 16), "stake in the registry")


def check_leaving(net, test):
    """All that lies elsewhere is shown with the command that fetches it."""
    url, key = net.nodes[0].url, ["--key", f"dev:{PROVIDER}"]
    ask = lambda *words: test.json(*words, *key, "--rpc", url)
    tell = lambda who: test.cli("account", "balance", who, "--rpc", url).out
    stake = net.rpc.balance(PROVIDERS)
    told = ask("account", "balance")
    expect_equal((told["address"], told["balanceWei"]), (DEV[PROVIDER], str(net.rpc.balance(DEV[PROVIDER]))), "balance")
    expect_equal((told["provider"]["stakeWei"], told["provider"]["boundWei"], told["creditWei"]), (str(stake), "0", "0"), "stake and credit")
    expect("trainyard provider unstake" in tell(DEV[PROVIDER]), "how stake leaves")
    expect("coins of credit: trainyard job withdraw" in tell(DEV[CLIENT]), "how the client gets its refund")
    expect("at the market: trainyard job withdraw" in test.cli("job", "status", 0, "--rpc", url).out, "the refund in the job's status")
    expect("coins of own stake" in tell(net.operators[0]), "an operator's stake")
    expect_equal(ask("job", "reclaim", 0), {"reclaimed": [], "freedWei": "0"}, "what the job still holds")
    first = ask("provider", "unstake", 1)
    refused = test.cli("provider", "unstake", "all", *key, "--rpc", url, code=1).text
    for words in ("1 coin already leaving", f"paid from block {first['releaseBlock']} on", "nobody can answer: --yes"):
        expect(words in refused, f"'{words}' is not in {refused}")
    left = ask("provider", "unstake", "all", "--yes")
    expect(left["releaseBlock"] > first["releaseBlock"], "what was leaving waits anew")
    expect_equal(left["leavingWei"], str(stake), "stake that leaves")
    expect(f"leaving, from block {left['releaseBlock']} on" in tell(DEV[PROVIDER]), "when it has left")
    expect_equal(ask("provider", "withdraw"), {"stakeWei": "0", "creditWei": "0"}, "what is paid before that")
    expect("0 coins can leave" in test.cli("provider", "unstake", 1, *key, "--rpc", url, code=1).text, "none is left")


def run(test):
    net = Devnet(test).start()
    before = net.rpc.balance(DEV[CLIENT])
    provider = net.provider("provider", PROVIDER).start()
    posted = net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, width=256)
    job = crash_and_resume(net, provider)
    wait_until("the provider has its pay", lambda: events_of(provider, "finished"), 30)
    check_model(net, job)
    check_money(net, posted, before)
    check_earnings(net, test)
    check_stake(net)
    expect_equal(provider.stop(), 0, "exit code of the provider after SIGTERM")
    check_leaving(net, test)
    case = test.folder / "segment.case"
    test.cli("verify", "--rpc", net.nodes[0].url, "--job", 0, "--segment", SEGMENTS - 1, "--no-cuda", "--save", case)
    test.cli("verify", "--case", case, "--no-cuda")
    left = test.cli("verify", "--rpc", net.nodes[0].url, "--job", 0, "--no-cuda")
    expect("nothing to verify: all segments so far are final" in left.out, f"a job that is paid: {left.text}")
    say("anyone can replay the last segment, with the network and without")


main(run)
