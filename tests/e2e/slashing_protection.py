# SPDX-License-Identifier: Apache-2.0
"""A validator's signing database: one process at a time, exported and retired, imported elsewhere, and never loosened."""
import json
import pathlib
import shutil

from harness import Failure, expect, expect_equal, main, say, wait_until
from network import Devnet


def one_process_at_a_time(test, net):
    settings = net.folder / "node-3" / "node.toml"
    second = test.cli("node", "--config", settings, "--http.port", 0, "--p2p.port", 0, code=1)
    expect("another process has it open" in second.text, f"a second node is told why it may not start: {second.text}")
    held = test.cli("slashing-protection", "export", "--datadir", net.folder / "node-3" / "data", code=1)
    expect("stop that first" in held.text, f"an export of a running node says what to do: {held.text}")
    say("a second process on the data folder is refused")


def move_key(test, net):
    """Node 3 is stopped and its key goes to a fresh data folder, which knows all it signed."""
    node, old, new = net.nodes[3], net.folder / "node-3" / "data", net.folder / "node-3" / "data-2"
    expect_equal(node.process.stop(), 0, "exit code of node3")
    file = test.folder / "votes.json"
    with open("/dev/full", "wb") as full_disk:
        lost = test.cli("slashing-protection", "export", "--datadir", old, "--retire", code=1, stdout=full_disk)
    expect("did not take all of the export" in lost.text, f"an export that is lost says so, and retires nothing: {lost.text}")
    test.cli("slashing-protection", "export", "--datadir", old, "--out", file, "--retire")
    exported = json.loads(file.read_text())["data"][0]
    votes = exported["signed_views"]
    expect(len(votes) > 5, f"signed views in the export: {len(votes)}")
    expect(int(exported["low_water_mark"]["epoch"]) < 2**64 - 1, "a folder whose export was lost was not retired")
    retired = test.cli("node", "--config", net.folder / "node-3" / "node.toml", code=1)
    expect("retired" in retired.text, f"a retired folder says so: {retired.text}")
    imported = test.cli("slashing-protection", "import", file, "--datadir", new)
    expect(f"{len(votes)} views imported" in imported.text, imported.text)
    again = json.loads(test.cli("slashing-protection", "export", "--datadir", new).out)["data"][0]
    expect_equal(again, exported, "the export of what was imported")
    hostile(test, new, file)
    shutil.copytree(old / "chain", new / "chain")
    settings = net.folder / "node-3" / "node.toml"
    settings.write_text(settings.read_text().replace(str(old), str(new)))
    node.process.start()
    wait_until("node3 answers", node.is_up, 30)
    say(f"{len(votes)} views moved to another data folder; the old one signs no more")


def hostile(test, folder, file):
    """What is no export of this key and chain changes nothing."""
    before = test.cli("slashing-protection", "export", "--datadir", folder).out
    good = json.loads(file.read_text())
    other_chain = json.loads(file.read_text())
    other_chain["metadata"]["chain_id"] = "1"
    other_key = json.loads(file.read_text())
    other_key["data"][0]["pubkey"] = "0x02" + "11" * 32
    lower = json.loads(file.read_text())
    lower["data"][0] |= {"low_water_mark": {"epoch": "0", "view": "0"}, "signed_views": []}
    for name, content, code in [("chain", other_chain, 1), ("key", other_key, 1), ("lower", lower, 0), ("same", good, 0)]:
        path = test.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        test.cli("slashing-protection", "import", path, "--datadir", folder, code=code)
    for text in ["", "{", "[]", "{}", "\0" * 100, "[" * 10_000]:
        path = pathlib.Path(test.folder / "broken.json")
        path.write_text(text)
        expect(test.cli("slashing-protection", "import", path, "--datadir", folder, code=1).err, "a reason")
    expect_equal(test.cli("slashing-protection", "export", "--datadir", folder).out, before, "the database after hostile files")


def conflict(test, folder):
    """Two databases that show a double vote: the mark rises above it."""
    export = json.loads(test.cli("slashing-protection", "export", "--datadir", folder).out)
    last = export["data"][0]["signed_views"][-1]
    last["notarize"] = "0x" + "22" * 32
    path = test.folder / "conflict.json"
    path.write_text(json.dumps(export))
    told = test.cli("slashing-protection", "import", path, "--datadir", folder)
    if "notarize" not in last or "contradict" not in told.text:
        raise Failure(f"a double vote in an import is named: {told.text}")
    mark = json.loads(test.cli("slashing-protection", "export", "--datadir", folder).out)["data"][0]["low_water_mark"]
    expect_equal(int(mark["view"]), int(last["view"]) + 1, "the mark after a contradiction")


def run(test):
    net = Devnet(test).start()
    net.wait_growth(net.nodes, 5)
    one_process_at_a_time(test, net)
    move_key(test, net)
    net.wait_growth(net.nodes, 5)
    votes_again = lambda: "missing" in net.rpc("admin_consensusState")
    wait_until("the chain says what it waits for", votes_again, 10)
    net.expect_agreement()
    expect_equal(net.nodes[3].process.stop(), 0, "exit code of node3")
    conflict(test, net.folder / "node-3" / "data-2")


main(run)
