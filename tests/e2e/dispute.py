# SPDX-License-Identifier: Apache-2.0
"""Before the referee. An outsider disputes a right segment and points wherever it likes: the provider, killed in the middle of the game,
shows one number after the other and wins. A watcher disputes a fraud that level 0 cannot see: its provider has nothing to show."""
from harness import COIN, DEV, MARKET, expect, expect_equal, log_word, main, say, wait_until
from network import Devnet, events_of
from signing import KEYS, address_of

SEGMENTS, STEPS, PRICE = 2, 2, 2
CLIENT, HONEST, CHEAT, WATCHER = 0, 1, 2, 3
KEY = KEYS[4]
OUTSIDER = address_of(KEY)
WATCHER_ADDRESS = "0x90f79bf6eb2c4f870365e785982e1f101e93b906"
BOND = 2 * PRICE * COIN
PROVIDER_BOND = 24 * PRICE * COIN  # bondFactor of genesis/devnet.json
BOUNTY = PROVIDER_BOND * 2000 // 10_000  # bountyBps
MOVED = "DisputeMoved(uint256,uint32,uint8,bytes)"
SETTLED = "DisputeSettled(uint256,uint32,address,bool,uint256)"
PICK_STEP, PICK_VALUE, PICK_ELEMENT = 1, 7, 14  # training/referee/game.hpp
PRODUCT = 2  # the value of the first layer's first product, behind embedding and norm


# --- the outsider, by hand

def padded(content):
    return len(content).to_bytes(32, "big") + content + bytes(-len(content) % 32)


def items_of(rlp):
    """The strings and lists of an RLP list, lists unread."""
    def header(at):
        first = rlp[at]
        base = 0xc0 if first >= 0xc0 else 0x80
        if first < 0x80:
            return at, 1
        if first < base + 56:
            return at + 1, first - base
        width = first - base - 55
        return at + 1 + width, int.from_bytes(rlp[at + 1:at + 1 + width], "big")
    at, size = header(0)
    end, items = at + size, []
    while at < end:
        start, length = header(at)
        items.append(rlp[start:start + length])
        at = start + length
    return items


def rlp_number(number):
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return content if len(content) == 1 and content[0] < 0x80 else bytes([0x80 + len(content)]) + content


def pick(state):
    """Anything that can be pointed at, mostly in the middle. A product's numbers have parts whatever the run's seed is; a gradient of an
    embedding has none where its token is not asked for, and the game ends there."""
    items = items_of(state)
    phase = int.from_bytes(items[1], "big")
    shown = max(len(items[17]) // 32, len(items[18]) // 4)
    index = {PICK_STEP: 1, PICK_VALUE: PRODUCT, PICK_ELEMENT: 0}.get(phase, shown // 2)
    content = rlp_number(index)
    return bytes([0xc0 + len(content)]) + content


def last_move(net, seg):
    """Number of moves so far, whose turn it is, and where the game stands: of one answer, as the provider may move at any time."""
    logs = net.rpc.logs(MARKET, MOVED, 0, seg)
    log = logs[-1]
    data = bytes.fromhex(log["data"][2:])
    at = log_word(log, 1)
    size = int.from_bytes(data[at:at + 32], "big")
    return len(logs), log_word(log, 0), data[at + 32:at + 32 + size]


def begin(net, seg):
    net.wait_job(0, f"has segment {seg} accepted", lambda job: len(job["segments"]) > seg and job["segments"][seg]["state"] == "accepted")
    expect_equal(net.rpc.view(MARKET, "disputeBond(uint256,uint32,address)", 0, seg, OUTSIDER), [BOND], "the bond")
    receipt = net.rpc.send(KEY, MARKET, "dispute(uint256,uint32)", 0, seg, value=BOND)
    say(f"segment {seg} is disputed in block {int(receipt['blockNumber'], 16)}")


def is_shown(net, test):
    segment = net.job(0)["segments"][0]
    expect_equal((segment["state"], segment["dispute"]["challenger"]), ("disputed", OUTSIDER), "what yard_job says")
    status = test.cli("job", "status", 0, "--rpc", net.nodes[0].url).out
    expect(f"disputed by {OUTSIDER}" in status, status)


def play(net, provider):
    """Whatever is pointed at, the provider shows what is below; returns the number of moves."""
    moves, gas = 1, 0
    while not net.rpc.logs(MARKET, SETTLED, 0):
        known, turn, state = last_move(net, 0)
        if turn == 0:
            wait_until("the provider moves", lambda: len(net.rpc.logs(MARKET, MOVED, 0, 0)) > known or net.rpc.logs(MARKET, SETTLED, 0), 60)
        else:
            receipt = net.rpc.send(KEY, MARKET, "play(uint256,uint32,bytes,bytes)", 0, 0, 128, 128 + len(padded(state)),
                                   tail=padded(state) + padded(pick(state)))
            gas = max(gas, int(receipt["gasUsed"], 16))
            moves += 1
            if moves == 4:
                provider.kill()
                provider.start()
    say(f"the provider has won; {len(net.rpc.logs(MARKET, MOVED, 0, 0))} moves and the last, at most {gas} gas for a pick")
    return moves


def honest_wins(net, test, provider):
    begin(net, 0)
    is_shown(net, test)
    expect(play(net, provider) > 6, "a game that ends so early shows nothing")
    log = net.rpc.logs(MARKET, SETTLED, 0)[0]
    expect_equal((log_word(log, 0), log_word(log, 1)), (0, 0), "won and returned")
    net.wait_job(0, "is closed", lambda job: job["state"] == "closed", 120)
    expect_equal(len(net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 0)), 0, "void segments")
    wait_until("the provider has its pay", lambda: events_of(provider, "paid"), 30)
    finals = sum(log_word(log, 0) for log in net.rpc.logs(MARKET, "SegmentFinal(uint256,uint32,uint256,uint256)", 0))
    drawn = sum(log_word(log, 0) for log in net.rpc.logs(MARKET, "Withdrawn(address,uint256)", DEV[HONEST]))
    expect_equal(drawn, finals + BOND // 2, "what the provider withdrew: its pay and half of the bond")


# --- the watcher

def fraud_falls(net, test):
    cheat = net.provider("cheat", CHEAT, "--fault", "made-up-sums").start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[CHEAT], segment_blocks=60)
    watcher = test.process("watcher", "--json", "verify", "--rpc", net.nodes[0].url, "--job", 1, "--no-cuda", "--follow", "--dispute", "--yes",
                           "--key", f"dev:{WATCHER}").start()
    wait_until("the cheat commits", lambda: events_of(cheat, "committed"), 60)
    disputed = wait_until("the watcher disputes", lambda: events_of(watcher, "disputed"), 60)
    expect_equal((disputed[0]["segment"], disputed[0]["bondWei"], disputed[0]["bountyWei"]), (0, str(BOND), str(BOUNTY)), "the dispute")
    say(f"level 0 passed the fraud, the watcher did not: disputed in block {disputed[0]['block']}")
    settled = wait_until("the cheat's time runs out", lambda: events_of(watcher, "settled"), 120)[0]
    expect_equal((settled["ending"], settled["creditedWei"]), ("void", str(BOND + BOUNTY)), "the outcome")
    void = net.rpc.logs(MARKET, "SegmentVoid(uint256,uint32,address,uint256)", 1)
    expect_equal([(log["topics"][3][-40:], log_word(log, 0)) for log in void], [(DEV[CHEAT][2:], PROVIDER_BOND)], "void segments")
    expect_equal(net.rpc.view(MARKET, "credit(address)", WATCHER_ADDRESS), [BOND + BOUNTY], "credit of the challenger")
    cheat.stop()
    watcher.stop()
    test.cli("job", "cancel", 1, "--rpc", net.nodes[0].url, "--key", f"dev:{CLIENT}")
    net.wait_job(1, "is closed", lambda job: job["state"] == "closed", 60)


def run(test):
    net = Devnet(test, replayBps=0, windowBlocks=80).start()
    provider = net.provider("provider", HONEST).start()
    net.submit(SEGMENTS, STEPS, str(PRICE), CLIENT, provider=DEV[HONEST])
    honest_wins(net, test, provider)
    fraud_falls(net, test)
    net.expect_sums(DEV[CLIENT], DEV[HONEST], DEV[CHEAT], OUTSIDER, WATCHER_ADDRESS)
    net.expect_agreement()


main(run)
