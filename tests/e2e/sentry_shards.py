# SPDX-License-Identifier: Apache-2.0
"""Ten validators send bodies above 64 KiB as shards; one that hides behind sentries takes part, and leads such a block."""
from harness import main, say, wait_until
from network import Devnet
from sentries import hide_one, led_by, votes
from signing import KEYS, address_of, transaction


def run(test):
    net = Devnet(test, validators=10)
    hidden, shy, sentries = hide_one(test, net, 0)
    net.start(heights=4)
    wait_until("the hidden one votes", lambda: votes(shy), 90)
    other = next(node for node in net.nodes if node is not shy)
    chain, senders = int(other.rpc("eth_chainId"), 16), {address_of(key): key for key in KEYS}
    keccak = lambda data: bytes.fromhex(other.rpc("web3_sha3", "0x" + data.hex())[2:])

    def feed():
        for sender, key in senders.items():
            nonce = int(other.rpc("eth_getTransactionCount", sender, "pending"), 16)
            raw, _ = transaction(key, chain, nonce, sender, data=bytes(100_000), gas=1_100_000, keccak=keccak)
            other.rpc("eth_sendRawTransaction", raw)
        return led_by(other, hidden["address"], 70_000)

    height = wait_until("it has led a large block", feed, 120, every=1)
    say(f"the hidden one led block {height}, which went out as shards")
    net.wait_growth(net.nodes, 5, 90)
    net.expect_agreement([*net.nodes, *sentries])


main(run)
