# SPDX-License-Identifier: Apache-2.0
"""Others fill the blocks until the base fee has outgrown what a provider offered for its commitment: it offers more under the
same nonce, and the segment is committed before its deadline."""
from harness import DEV, MARKET, expect, expect_equal, main, say, wait_until
from network import Devnet, events_of
from signing import KEYS, transaction

SEGMENTS, STEPS = 6, 8
CLIENT, PROVIDER = 0, 1
DEADLINE_BLOCKS = 90  # fewer than the crowd lasts
GWEI = 10**9
# Four fill a block; each uses all of its gas at its first instruction. Their cap holds the base fee below 20 Gwei, where they
# do not pay more than a provider that has raised its tip once.
GAS, FEE, TIP = 15_000_000, 20 * GWEI, 5 * GWEI
NONCES = 40  # of each of seven accounts: 25 blocks until the base fee stands at the cap, 90 at half the gas behind them


def signed_crowd(net):
    chain_id = int(net.rpc("eth_chainId"), 16)
    return [(net.nodes[i % len(net.nodes)], transaction(KEYS[i], chain_id, nonce, "0x", data=b"\xfe", gas=GAS, fee=FEE, tip=TIP)[0])
            for nonce in range(NONCES) for i in range(3, 10)]


def offers_of(net, found):
    """Adds what the pool holds of the provider: nonce -> fee caps, as they came."""
    pooled = net.rpc("txpool_contentFrom", DEV[PROVIDER])
    for tx in [*pooled["pending"].values(), *pooled["queued"].values()]:
        caps = found.setdefault(int(tx["nonce"], 16), [])
        if int(tx["maxFeePerGas"], 16) not in caps:
            caps.append(int(tx["maxFeePerGas"], 16))


def outgrown_commitments(net, offers):
    """Of the provider's calls of the market, those in blocks whose base fee lies above their first offer."""
    found = []
    for log in net.rpc.logs(MARKET, "SegmentCommitted(uint256,uint32,address,bytes32,bytes32,uint32)", 0):
        tx = net.rpc("eth_getTransactionByHash", log["transactionHash"])
        base = int(net.rpc("eth_getBlockByNumber", tx["blockNumber"], False)["baseFeePerGas"], 16)
        first = min(offers.get(int(tx["nonce"], 16), [base]))
        if first < base:
            found.append((int(tx["blockNumber"], 16), first, base, int(tx["maxFeePerGas"], 16)))
    return found


def run(test):
    net = Devnet(test).start()
    crowd = signed_crowd(net)
    provider = net.provider("provider", PROVIDER).start()
    net.submit(SEGMENTS, STEPS, "1", CLIENT, width=256, segment_blocks=DEADLINE_BLOCKS)
    net.wait_job(0, "has a segment", lambda job: int(job["tip"], 16) >= 1)
    for node, raw in crowd:
        node.rpc("eth_sendRawTransaction", raw)
    say(f"{len(crowd)} transactions fill the blocks")
    offers = {}

    def committed():
        offers_of(net, offers)
        return int(net.job(0)["tip"], 16) == SEGMENTS
    wait_until("all segments are committed", committed, 90)
    late = outgrown_commitments(net, offers)
    expect(late, f"a commitment whose first offer the base fee outgrew: {offers}")
    for block, first, base, last in late:
        expect(last > first, f"the offer of block {block} was raised")
        say(f"block {block}: first offered {first / GWEI:.2f} Gwei, taken at a base fee of {base / GWEI:.2f} for up to {last / GWEI:.2f}")
    notes = [event["text"] for event in events_of(provider, "note") if "offers up to" in event["text"]]
    expect(notes, "the provider says that it offers more")
    job = net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 120)
    expect_equal(job["outcome"], "complete", "outcome")
    expect_equal(net.rpc.logs(MARKET, "ProviderFined(uint256,address,uint256)", 0), [], "fines")
    net.expect_agreement()


main(run)
