# SPDX-License-Identifier: Apache-2.0
"""`trainyard devnet demo` with a small job: it trains, settles, catches a cheat, leaves a model and no process."""
import json
import struct

from harness import expect, expect_equal, main, say, wait_until

SEGMENTS, STEPS = 2, 2  # a cheat that skips one step of two is missed once in 340,000 draws


def flip(path):
    """Changes one bit in the last weight of a safetensors file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)


def check_files(folder):
    for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md", "loss.svg", "receipt.json", "audit.case"):
        expect((folder / name).is_file() and (folder / name).stat().st_size > 0, f"there is no {name} in {folder.name}")
    expect("<svg" in (folder / "loss.svg").read_text(), "loss.svg is no picture")
    expect("model_type" in json.loads((folder / "config.json").read_text()), "config.json names no model type")
    receipt = json.loads((folder / "receipt.json").read_text())
    money = {name: int(wei) for name, wei in receipt["money"].items()}
    expect_equal(money["escrowWei"], sum(money.values()) - money["escrowWei"], "the escrow, and what the receipt says became of it")
    expect(money["providerWei"] > 0 and money["auditorsWei"] > 0, "the provider and the auditors were paid")
    content = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    expect_equal(8 + size + max(ends), len(content), "length of model.safetensors as its header says")
    say(f"the model folder has {len(ends)} tensors in {len(content)} bytes")


def run(test):
    out = test.folder / "demo-out"
    demo = test.cli("--json", "devnet", "demo", "--segments", SEGMENTS, "--segment-steps", STEPS, "--no-cuda", "--out", out, seconds=240)
    lines = [json.loads(line) for line in demo.out.splitlines()]
    say(f"the demo ends with exit code 0 after {lines[-2]['second']} s")
    expect(any("caught" in line.get("text", "") for line in lines), "the demo does not say that the cheat was caught")
    expect(int(lines[-1]["slashedWei"]) > 0 and int(lines[-1]["paidWei"]) > 0, f"the last line: {lines[-1]}")
    wait_until("every process of the demo is gone", lambda: not test.left_over(), 10)
    check_files(out)
    test.cli("verify", "--model", out, "--offline")
    sample = test.cli("sample", "--model", out, "--prompt", "The ", "--count", 20, "--threads", 2)
    expect(sample.out.strip(), "the model says nothing")
    replay = test.cli("verify", "--case", out / "audit.case", "--no-cuda", code=1)
    expect("MISMATCH" in replay.text, "replaying the cheated segment does not show the fraud")
    say("the saved audit of the cheated segment replays to a mismatch, without a network")
    flip(out / "model.safetensors")
    spoiled = test.cli("verify", "--model", out, "--offline", code=1)
    expect("MISMATCH" in spoiled.text, "verify does not name the mismatch")
    say("the model verifies; with one bit flipped it does not")


main(run)
