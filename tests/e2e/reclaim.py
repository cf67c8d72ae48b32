# SPDX-License-Identifier: Apache-2.0
"""Three accepted segments are disputed, and their provider is gone. The first falls, and the others with it, undecided: nobody pays out
what was put up there. The next run of verify takes one bond back by itself, `job reclaim` the other, each once."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet
from signing import KEYS

SEGMENTS, STEPS, PRICE = 3, 2, 2
CLIENT, PROVIDER, OUTSIDER = 0, 1, 2
BOND = 2 * PRICE * COIN
BOUNTY = 24 * PRICE * COIN * 2000 // 10_000  # bondFactor and bountyBps of genesis/devnet.json


def fall(net, provider):
    accepted = lambda job: len(job["segments"]) == SEGMENTS and all(s["state"] == "accepted" for s in job["segments"])
    net.wait_job(0, "has three accepted segments", accepted, 120)
    expect_equal(provider.stop(), 0, "exit code of the provider after SIGTERM")
    for seg in range(SEGMENTS):
        net.rpc.send(KEYS[OUTSIDER], MARKET, "dispute(uint256,uint32)", 0, seg, value=BOND)
    void = wait_until("the first segment falls", lambda: net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0), 120)
    expect_equal([int(log["topics"][2], 16) for log in void], [0], "void segments")
    expect_equal(credit(net), BOND + BOUNTY, "credit of the challenger: the decided one's")
    say(f"segment 0 is void in block {int(void[0]['blockNumber'], 16)}, and two bonds lie at the market")


def credit(net):
    return net.rpc.view(MARKET, "credit(address)", DEV[OUTSIDER])[0]


def come_back(net, test):
    url, key = net.nodes[0].url, ["--key", f"dev:{OUTSIDER}"]
    # As a run of verify leaves it that disputed segment 1 and was killed.
    bonds = test.folder / "home" / f"bonds-{int(net.rpc('eth_chainId'), 16)}-{DEV[OUTSIDER]}.csv"
    bonds.parent.mkdir(exist_ok=True)
    bonds.write_text("0,1,0\n")
    verify = ["--json", "verify", "--job", 0, "--dispute", "--yes", "--no-cuda", *key, "--rpc", url]
    told = test.cli(*verify, code=1).out
    expect('"event":"reclaimed","job":0,"segment":1' in told, told)
    expect_equal((bonds.read_text(), credit(net)), ("", 2 * BOND + BOUNTY), "bonds that are remembered, and credit")
    expect("reclaimed" not in test.cli(*verify, code=1).text, "it comes back once")
    ask = ["job", "reclaim", 0, *key, "--rpc", url]
    expect_equal(test.json(*ask)["reclaimed"], [{"segment": 2, "attempt": 0}], "what the job still held")
    expect_equal(credit(net), 3 * BOND + BOUNTY, "credit with all bonds")
    expect("holds nothing" in test.cli(*ask).out, "it comes back once")
    settled = net.rpc.logs(MARKET, "DisputeSettled(uint256,uint32,address,bool,uint256)", 0)
    expect_equal([(int(log["topics"][2], 16), log_word(log, 0), log_word(log, 1)) for log in settled], [(0, 1, BOND), (1, 0, BOND), (2, 0, BOND)], "disputes")


def run(test):
    net = Devnet(test, windowBlocks=60, moveBlocks=10).start()
    provider = net.provider("provider", PROVIDER).start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, segment_blocks=20)
    fall(net, provider)
    come_back(net, test)
    test.cli("job", "cancel", 0, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
    net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 60)
    net.expect_sums(DEV[CLIENT], DEV[PROVIDER], DEV[OUTSIDER])
    net.expect_agreement()


main(run)
