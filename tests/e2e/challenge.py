# SPDX-License-Identifier: Apache-2.0
"""A fraud that level 0 cannot see, on a chain that draws no segments for replays: a watcher with its own machine finds it, challenges,
and is paid. The watcher of an honest job does nothing, and its node's restart does not end it."""
import time

from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of

SEGMENTS, STEPS, PRICE, FEE = 2, 2, 3, COIN // 100
CLIENT, HONEST, CHEAT, WATCHER = 0, 1, 2, 3
WATCHER_ADDRESS = "0x90f79bf6eb2c4f870365e785982e1f101e93b906"
# genesis/devnet.json: bondFactor, k2 and bountyBps
PROVIDER_BOND = 24 * PRICE * COIN
BOND = 2 * PRICE * COIN + 7 * FEE
BOUNTY = PROVIDER_BOND * 2000 // 10_000 // 2


def challenger(net, name, job, node):
    return net.test.process(name, "--json", "verify", "--rpc", node.url, "--job", job, "--no-cuda", "--follow", "--challenge", "--yes",
                            "--key", f"dev:{WATCHER}").start()


def ended(process, seconds):
    return wait_until(f"{process.name} ends", lambda: not process.is_alive(), seconds) and process.child.returncode


def judged(process):
    return [(e["segment"], e["verdict"]) for e in events_of(process, "judged")]


def convicted(net, watcher, cheat):
    challenged = wait_until("the watcher challenges", lambda: events_of(watcher, "challenged"), 60)
    accepted = net.rpc.logs(MARKET, "SegmentAccepted(uint256,uint32,bool)", 1)
    expect_equal({log_word(log, 0) for log in accepted}, {1}, "whether accepted segments were audited")
    expect_equal((challenged[0]["segment"], challenged[0]["bondWei"], challenged[0]["bountyWei"]), (0, str(BOND), str(BOUNTY)), "the challenge")
    say(f"level 0 passed the fraud, the watcher did not: challenged in block {challenged[0]['block']}")
    cheat.stop()  # a replay needs nothing of it, and it shall not take the job again
    settled = wait_until("the committee decides", lambda: events_of(watcher, "settled"), 60)[0]
    expect_equal((settled["ending"], settled["creditedWei"]), ("void", str(BOND + BOUNTY)), "the outcome")
    expect_equal(judged(watcher), [(0, "mismatch")], "what was replayed")


def check_chain(net, staked):
    void = net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 1)
    expect_equal([(log["topics"][3][-40:], log_word(log, 0)) for log in void], [(DEV[CHEAT][2:], PROVIDER_BOND)], "void segments")
    expect_equal(stake_of(net), staked - PROVIDER_BOND, "stake of the cheat")
    expect_equal(net.rpc.view(MARKET, "credit(address)", WATCHER_ADDRESS), [BOND + BOUNTY], "credit of the challenger")
    expect_equal(net.job(1)["state"], "open", "the job goes on")


def stake_of(net):
    return next(int(p["stake"], 16) for p in net.rpc("yard_providers")["providers"] if p["address"] == DEV[CHEAT])


def run(test):
    net = Devnet(test, replayBps=0, windowBlocks=60).start()
    net.provider("honest", HONEST).start()
    cheat = net.provider("cheat", CHEAT, "--fault", "made-up-sums").start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[HONEST])
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[CHEAT])
    idle, watcher = challenger(net, "idle", 0, net.nodes[3]), challenger(net, "watcher", 1, net.nodes[0])
    wait_until("the cheat commits", lambda: events_of(cheat, "committed"), 60)
    staked = stake_of(net)
    net.nodes[3].process.kill()
    time.sleep(2)
    expect(idle.is_alive(), "a watcher ended with its node")
    net.nodes[3].process.start()
    convicted(net, watcher, cheat)
    check_chain(net, staked)
    test.cli("job", "withdraw", "--rpc", net.nodes[0].url, "--key", f"dev:{WATCHER}")
    test.cli("job", "cancel", 1, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
    expect_equal(ended(watcher, 30), 1, "exit code after a mismatch")
    shown = test.cli("verify", "--rpc", net.nodes[0].url, "--job", 1, "--segment", 0, "--no-cuda", code=1)
    expect("MISMATCH" in shown.out and "void" in shown.out, "the fraud can be shown afterwards")
    expect_equal(ended(idle, 60), 0, "exit code of the honest job's watcher")
    expect_equal(judged(idle), [(seg, "match") for seg in range(SEGMENTS)], "the honest job")
    expect_equal(events_of(idle, "challenged"), [], "challenges of the honest job")
    say("the honest job's watcher has seen it to its end and challenged nothing")
    net.expect_sums(DEV[CLIENT], DEV[HONEST], DEV[CHEAT], WATCHER_ADDRESS)
    net.expect_agreement()


main(run)
