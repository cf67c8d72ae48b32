# SPDX-License-Identifier: Apache-2.0
"""Many jobs with different seeds: a provider that fakes half of the steps of a segment, and an honest one beside it.

Prints how many of the faked segments were voided and how many of the honest ones were accepted. SEEDS sets how many
(default 20), FAULT the way of cheating (default reuse-gradients, the one that only a drawn unit can show)."""
import os

from harness import DEV, MARKET, expect_equal, main, say, wait_until
from network import Devnet, tiny_gpt

SEEDS = int(os.environ.get("SEEDS", "20"))
FAULT = os.environ.get("FAULT", "reuse-gradients")
CLIENT, HONEST, CHEAT = 0, 1, 2
STEPS = 20


def post(net, provider):
    shape = tiny_gpt(32)
    shape[shape.index("--micro-batches") + 1] = 4
    return net.test.json(
        "job", "submit", "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}", "--data", net.data(), "--price", "1",
        "--audit-fee", "0.01", "--steps", STEPS, "--segment", STEPS, "--provider", DEV[provider], *shape)["id"]


def outcome(net, job):
    """'void' or 'accepted' once the job's only segment is judged, else None."""
    if net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", job):
        return "void"
    if net.rpc.logs(MARKET, "SegmentAccepted(uint256,uint32,bool)", job):
        return "accepted"
    return None


def run(test):
    net = Devnet(test).start()
    net.provider("honest", HONEST).start()
    net.provider("cheat", CHEAT, "--fault", FAULT).start()
    caught, accepted = 0, 0
    for seed in range(SEEDS):
        good, bad = post(net, HONEST), post(net, CHEAT)
        caught += wait_until(f"job {bad} is judged", lambda: outcome(net, bad), 180) == "void"
        accepted += wait_until(f"job {good} is judged", lambda: outcome(net, good), 180) == "accepted"
        test.cli("job", "cancel", bad, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
        say(f"seed {seed}: {caught} of {seed + 1} cheats caught, {accepted} of {seed + 1} honest segments accepted")
    voids = net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)")
    expect_equal({log["topics"][3][-40:] for log in voids}, {DEV[CHEAT][2:]}, "providers that were slashed")
    expect_equal((caught, accepted), (SEEDS, SEEDS), "caught and accepted")
    net.expect_agreement()


main(run)
