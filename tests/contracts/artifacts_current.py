# SPDX-License-Identifier: Apache-2.0
# Without Node: the committed artifacts were made from the sources that lie beside them, and the chain spec names them.
import hashlib
import json
import pathlib
import sys

genesis = pathlib.Path(__file__).resolve().parents[2] / "genesis"


def sources_sha256():
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(genesis).as_posix()}\n"
        for path in genesis.glob("contracts/**/*.sol")
    ]
    return hashlib.sha256("".join(sorted(lines, key=lambda line: line[66:])).encode()).hexdigest()


def problems():
    expected = sources_sha256()
    artifacts = {path.stem: json.loads(path.read_text()) for path in genesis.glob("artifacts/*.json")}
    for name, artifact in sorted(artifacts.items()):
        if artifact["sourcesSha256"] != expected:
            yield f"{name}.json was made from other sources; run ./yard genesis and commit the result"
        if artifact["deployedBytes"] > 24576:
            yield f"{name}.json: {artifact['deployedBytes']} bytes of code, more than EIP-170 allows"
    for contract in json.loads((genesis / "devnet.json").read_text())["contracts"]:
        if "artifact" in contract and contract["artifact"] not in artifacts:
            yield f"devnet.json names the artifact {contract['artifact']}, which does not exist"


found = list(problems())
print("\n".join(found) or "artifacts are current")
sys.exit(1 if found else 0)
