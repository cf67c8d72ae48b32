# SPDX-License-Identifier: Apache-2.0
"""A validator whose keys are with a signer process: the signer dies and returns, and a second node asks it too."""
import json
import re
import shutil
import urllib.error
import urllib.request

from harness import Rpc, expect, expect_equal, main, say, wait_until
from network import Devnet, Node


def readiness(node):
    try:
        with urllib.request.urlopen(node.url + "/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def move_keys(net, number):
    """consensus.json and vrf.json go to a signer's folder; the node keeps the rest."""
    home = net.folder / f"node-{number}"
    keys = home / "signer-keys"
    keys.mkdir()
    for name in ["consensus.json", "vrf.json"]:
        shutil.move(home / "keys" / name, keys / name)
    for name in ["password", "p2p.json"]:
        shutil.copy(home / "keys" / name, keys / name)
    return keys


def add_signer(test, net):
    home = net.folder / "node-3"
    keys, socket = move_keys(net, 3), home / "s.sock"
    settings = home / "node.toml"
    without = test.cli("node", "--config", settings, code=1)
    expect("consensus.json" in without.text, f"a node without voting keys says which file it misses: {without.text}")
    settings.write_text(re.sub(r'signer = ""', f'signer = "unix:{socket}"', settings.read_text()))
    signer = test.process("signer", "signer", "--genesis", net.folder / "genesis.json", "--keys", keys,
                          "--datadir", home / "signer-data", "--listen", f"unix:{socket}").start()
    wait_until("the signer is up", lambda: "signer is up" in signer.text(), 20)
    second = test.cli("signer", "--genesis", net.folder / "genesis.json", "--keys", keys, "--datadir", home / "signer-data", code=1)
    expect("one signer only" in second.text, f"a second signer on the database is refused: {second.text}")
    return signer


def signer_dies(net, signer):
    node = net.nodes[3]
    signer.kill()
    wait_until("the node says that it does not vote", lambda: readiness(node)[0] == 503, 20)
    expect("does not answer" in readiness(node)[1], f"/readyz says why: {readiness(node)}")
    expect("signer" in node.rpc("admin_consensusState")["whyNotVoting"], "admin_consensusState says why")
    expect("the signer is away" in node.process.text(), "the log says so")
    net.wait_growth(net.nodes, 4)
    signer.start()
    wait_until("the node votes again", lambda: readiness(node)[0] == 200, 20)
    expect_equal(node.rpc("admin_consensusState")["whyNotVoting"], None, "why node3 does not vote")
    say("the signer was killed: its node followed without voting, said so, and went on when it returned")


def second_node(test, net):
    """A spare with keys of its own for all but voting: both ask one signer, and nobody sees an offence."""
    home = net.folder / "spare"
    shutil.copytree(net.folder / "node-3" / "keys", home / "keys")
    text = (net.folder / "node-3" / "node.toml").read_text().replace(str(net.folder / "node-3" / "data"), str(home / "data"))
    text = text.replace(str(net.folder / "node-3" / "keys"), str(home / "keys"))
    other = test.folder / "other-keys"
    test.cli("account", "validator", "--keystore", other, "--light")
    for name in ["p2p.json", "password", "account.json"]:
        shutil.copy(other / name, home / "keys" / name)
    (home / "node.toml").write_text(text)
    port = re.search(r"\[http\].*?\nport = (\d+)", text, re.S).group(1)
    spare_port = int(port) + 1
    process = test.process("spare", "node", "--config", home / "node.toml", "--http.port", spare_port, "--p2p.port", 0)
    spare = Node(process, spare_port)
    process.start()
    wait_until("the spare answers", spare.is_up, 30)
    wait_until("the spare has caught up", lambda: spare.rpc.finalised() >= net.rpc.finalised() - 2, 60)
    wait_until("the spare asks the signer as well", lambda: readiness(spare)[0] == 200, 60)
    net.wait_growth(net.nodes, 20)
    for node in [*net.nodes, spare]:
        with urllib.request.urlopen(node.url + "/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        offences = re.search(r"^trainyard_consensus_offences_total (\d+)", metrics, re.M).group(1)
        expect_equal(offences, "0", "offences that a node has seen")
    with urllib.request.urlopen(spare.url + "/metrics", timeout=10) as answer:
        refusals = sum(float(x) for x in re.findall(r"^trainyard_signer_refusals_total\S* (\S+)", answer.read().decode(), re.M))
    say(f"two nodes on one signer for 20 blocks: no offence, {refusals:.0f} votes refused to the spare")
    expect_equal(process.stop(), 0, "exit code of the spare")


def run(test):
    net = Devnet(test)
    signer = add_signer(test, net)
    net.start()
    net.wait_growth(net.nodes, 3)
    wait_until("node3 votes", lambda: readiness(net.nodes[3])[0] == 200, 20)
    signer_dies(net, signer)
    second_node(test, net)
    net.expect_agreement()
    expect_equal(net.nodes[3].process.stop(), 0, "exit code of node3")
    expect_equal(signer.stop(), 0, "exit code of the signer")


main(run)
