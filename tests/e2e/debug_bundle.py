# SPDX-License-Identifier: Apache-2.0
"""A debug bundle has what a supporter needs and no secret in it."""
import json
import tarfile

from harness import expect, expect_equal, main, say
from network import Devnet


def contents(archive):
    """Texts by name; the reader is Python's own."""
    with tarfile.open(archive, "r:gz") as tar:
        members = tar.getmembers()
        expect(all(m.isfile() and m.name.startswith("trainyard-debug/") for m in members), "one folder of files")
        return {m.name.split("/")[1]: tar.extractfile(m).read().decode(errors="replace") for m in members}


def bundle(test, net):
    home, archive = net.folder / "node-0", test.folder / "bundle.tar.gz"
    told = test.json("debug", "bundle", "--rpc", net.nodes[0].url, "--config", home / "node.toml",
                     "--log", net.nodes[0].process.log, "--out", archive)
    files = contents(archive)
    expect_equal(archive.stat().st_mode & 0o077, 0, "rights of others on the archive")
    expect_equal(told["files"], len(files), "files that the command counts")
    for name in ["build.txt", "settings.toml", "status.json", "consensus.json", "peers.json", "genesis.json",
                 "metrics.txt", "readyz.txt", "disk.txt", "log.txt"]:
        expect(len(files.get(name, "")) > 5 and "not available" not in files[name], f"{name} in the bundle")
    expect("waitsFor" in files["consensus.json"] and "trainyard_consensus_view" in files["metrics.txt"], "their content")
    secrets = [(home / "keys" / "password").read_text().strip()]
    for keystore in (home / "keys").glob("*.json"):
        crypto = json.loads(keystore.read_text())
        crypto = crypto.get("crypto", crypto.get("Crypto"))
        secrets += [crypto["ciphertext"], crypto["mac"]]
    for name, text in files.items():
        for secret in secrets:
            expect(secret not in text, f"{name} holds a secret")
    # A key that slipped into a log does not leave with it.
    slipped = test.folder / "slipped.log"
    slipped.write_text("info key=" + "ab" * 32 + " and 0x" + "cd" * 32 + "\n")
    down = test.cli("debug", "bundle", "--rpc", "http://127.0.0.1:1", "--config", "nowhere.toml", "--log", slipped, "--out", test.folder / "second.tgz")
    expect("without settings.toml: cannot open 'nowhere.toml'" in down.err and "status.json" in down.err, f"what is missing is said: {down.err}")
    second = contents(test.folder / "second.tgz")
    log = second["log.txt"]
    expect("ab" * 32 not in log and "cd" * 32 not in log, f"64 digits in a row stay out: {log}")
    expect("not available" in second["status.json"], "a node that is down is no failure")
    again = test.cli("debug", "bundle", "--out", archive, code=1)
    expect("there already" in again.text, again.text)
    say(f"a bundle of {len(files)} files without {len(secrets)} secrets")


def run(test):
    net = Devnet(test).start()
    bundle(test, net)


main(run)
