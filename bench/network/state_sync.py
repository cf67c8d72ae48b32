# SPDX-License-Identifier: Apache-2.0
"""Time and bytes until a new node stands at the head of a chain with a large state: by state sync and by block sync.

usage: state_sync.py [--program PATH] [--keep]; STATE_SYNC_ACCOUNTS (default 1000000) says how many accounts,
STATE_SYNC_BLOCKS (default 300) how many blocks at least.

One validator on loopback. A contract that is in genesis sends 1 wei to accounts that were never seen, some hundred in
each transaction, so that the state is made by blocks and a node that syncs blocks executes them. Time is counted from
the start of the process to the height that the validator had when the process started; bytes are those of the peers'
connections, as the node counts them.
"""
import json
import os
import pathlib
import re
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "e2e"))
from harness import Failure, RpcError, expect, expect_equal, free_ports, main, say, wait_until  # noqa: E402
from network import Devnet, Node  # noqa: E402
from signing import KEYS, address_of, transaction  # noqa: E402

SPRAY = f"0x{0x5afe << 64:040x}"
# calldata: first address, count. Stack in the loop: count, address.
#   PUSH1 32 CALLDATALOAD PUSH0 CALLDATALOAD
#   loop: JUMPDEST PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 DUP6 PUSH0 CALL POP
#         PUSH1 1 ADD SWAP1 PUSH1 1 SWAP1 SUB SWAP1 DUP2 PUSH1 loop JUMPI STOP
SPRAY_CODE = "0x6020355f355b5f5f5f5f6001855ff1506001019060019003908160055700"
FIRST = 0x77 << 152
PER_TX, GAS_PER_TX = 450, 16_700_000  # EIP-7825 allows 2^24
TXS_PER_BLOCK = 25  # below half of the gas limit, so that the base fee stays
GAS_LIMIT = 1_000_000_000


def change_genesis(path):
    genesis = json.loads(path.read_text())
    genesis["gasLimit"] = hex(GAS_LIMIT)
    genesis["alloc"][SPRAY] = {"balance": hex(10**18), "code": SPRAY_CODE}
    for key in KEYS:
        genesis["alloc"][address_of(key)] = {"balance": hex(10**30)}
    del genesis["hash"]  # it is that of the file before
    path.write_text(json.dumps(genesis))


def make_accounts(node, count):
    """As fast as the pool takes them, at most so many a block."""
    chain_id = int(node.rpc("eth_chainId"), 16)
    for i in range(0, count, PER_TX):
        number = i // PER_TX
        data = (FIRST + i).to_bytes(32, "big") + min(PER_TX, count - i).to_bytes(32, "big")
        raw, _ = transaction(KEYS[number % 10], chain_id, number // 10, SPRAY, data=data, gas=GAS_PER_TX, fee=10**12)
        while True:
            try:
                node.rpc("eth_sendRawTransaction", raw)
                break
            except RpcError as error:
                expect("full" in str(error) or "limit" in str(error), f"a transaction is taken, or the pool is full: {error}")
                time.sleep(0.1)
        if number % TXS_PER_BLOCK == TXS_PER_BLOCK - 1:
            time.sleep(0.25)
    last = f"0x{FIRST + count - 1:040x}"
    wait_until("the last account is there", lambda: node.rpc.balance(last) == 1, 300)
    for at in (0, count // 2):
        expect_equal(node.rpc.balance(f"0x{FIRST + at:040x}"), 1, "balance")


def newcomer(test, net, way):
    port = free_ports(1)[0]
    process = test.process(way, "node", "--genesis", net.folder / "genesis.json", "--datadir", test.folder / way, "--http.port", port,
                           "--p2p.addr", "127.0.0.1", "--p2p.port", 0, "--sync", way)
    return Node(process, port)


def received(node):
    with urllib.request.urlopen(node.url + "/metrics", timeout=10) as answer:
        return float(re.search(r"^trainyard_p2p_received_bytes (\S+)", answer.read().decode(), re.M).group(1))


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(test, net, way):
    goal = net.rpc.finalised()
    node = newcomer(test, net, way)
    begun = time.monotonic()
    node.process.start()
    if way == "state":  # until then the head of this node is block 0
        wait_until("the state is synced", lambda: "state synced" in node.process.text(), 600, 0.05)
    wait_until(f"{way}: height {goal}", lambda: node.rpc.finalised() >= goal, 900, 0.05)
    took, bytes_received, extra = time.monotonic() - begun, received(node), ""
    if way == "state":
        synced = re.search(r"state synced +(.*)", node.process.text()).group(1)
        bytes_received += int(re.search(r"bytes=(\d+)", synced).group(1))
        extra = f" ({synced})"
    if node.process.stop() != 0:
        raise Failure("the newcomer ends badly")
    say(f"{way}: height {goal} after {took:.1f} s, {bytes_received / 1e6:.1f} MB received, {size_of(test.folder / way) / 1e6:.0f} MB on disk{extra}")


def run(test):
    accounts, blocks = int(os.environ.get("STATE_SYNC_ACCOUNTS", 1_000_000)), int(os.environ.get("STATE_SYNC_BLOCKS", 300))
    net = Devnet(test, 1)
    change_genesis(net.folder / "genesis.json")
    net.start()
    source = net.nodes[0]
    make_accounts(source, accounts)
    made_at = net.rpc.finalised()
    say(f"{accounts} accounts by height {made_at}")
    heights = lambda: [int(h) for h in re.findall(r"snapshots snapshot +height=(\d+)", source.process.text())]  # noqa: E731
    wait_until("a snapshot with all of them", lambda: max(heights(), default=0) > made_at and net.rpc.finalised() > blocks, 300)
    say(re.findall(r"snapshots snapshot +(.*)", source.process.text())[-1])
    for way in ("state", "blocks"):
        measure(test, net, way)


if __name__ == "__main__":
    main(run)
