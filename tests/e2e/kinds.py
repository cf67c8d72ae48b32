# SPDX-License-Identifier: Apache-2.0
"""Jobs that are no text: a classifier and a diffusion model of images, then a LoRA fine-tune of a model that the chain made.

Each is trained by a provider, audited, paid and delivered; the loss falls, and the files load.
"""
import json
import math
import struct

from harness import expect, expect_equal, main, say
from network import Devnet, tiny_gpt

RUN = ["--steps", 24, "--segment", 8, "--micro-batches", 2, "--sequences", 4]


class Client:
    def __init__(self, test, net):
        self.test, self.net = test, net

    def path(self, name):
        return self.test.folder / name

    def submit(self, data, program, *more):
        return self.test.json("job", "submit", "--rpc", self.net.nodes[0].url, "--key", "dev:0", "--data", data,
                              "--program", program, "--price", 1, "--audit-fee", "0.01", *more)["id"]

    def receive(self, number, name):
        """Waits for the job, downloads its model and returns the losses of its segments."""
        job = self.net.wait_job(number, "is closed", lambda j: j["state"] == "closed", 180)
        expect_equal(job["outcome"], "complete", f"outcome of job {number}")
        self.test.cli("job", "download", number, "--rpc", self.net.nodes[0].url, "--out", self.path(name), seconds=120)
        self.check_tensors(self.path(name) / "model.safetensors")
        status = self.test.json("job", "status", number, "--rpc", self.net.nodes[0].url)
        return [segment["loss"] for segment in status["segmentList"]]

    @staticmethod
    def check_tensors(path):
        """The rules of the safetensors format: header length, then JSON, then tensors that fill the file without gaps."""
        content = path.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + size])
        spans = sorted(t["data_offsets"] for name, t in header.items() if name != "__metadata__")
        expect_equal(spans[0][0], 0, "first byte of the first tensor")
        expect(all(a[1] == b[0] for a, b in zip(spans, spans[1:])), "tensors without gaps")
        expect_equal(8 + size + spans[-1][1], len(content), f"bytes of {path.name}")


def image_jobs(client):
    test = client.test
    test.cli("data", "shapes", "--out", client.path("shapes.tyd"))
    numbers = {}
    for kind, flags in (("cnn", ["--blocks", 1, "--channels", 8]), ("diffusion", ["--channels", 8])):
        program = client.path(f"{kind}.program")
        test.cli("program", "new", kind, "--data", client.path("shapes.tyd"), "--out", program, *flags, *RUN)
        numbers[kind] = client.submit(client.path("shapes.tyd"), program)
    for kind, number in numbers.items():
        losses = client.receive(number, kind)
        # So few steps teach the classifier nothing yet: it stays near the loss of a guess among four.
        falls = losses[-1] < losses[0] if kind == "diffusion" else losses[-1] < 1.1 * math.log(4)
        expect(falls, f"the loss of {kind} is as it should be: {losses}")
        say(f"{kind}: job {number} paid and delivered, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    test.cli("sample", "--model", client.path("diffusion"), "--out", client.path("sample.png"), "--count", 4, "--steps", 4, seconds=120)
    expect_equal(client.path("sample.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n", "the start of a PNG file")


def little_data(client):
    """Too little to hold anything out from training: the model is delivered all the same."""
    path = client.path("little.txt")
    path.write_text("one engine. " * 20)
    number = client.test.json("job", "submit", "--rpc", client.net.nodes[0].url, "--key", "dev:0", "--data", path, *tiny_gpt(), "--steps", 4, "--segment", 4)["id"]
    client.receive(number, "little")
    card = (client.path("little") / "README.md").read_text()
    expect("training loss" in card and "held-out" not in card, f"no held-out loss is made up: {card}")
    say(f"job {number}: a model of {path.stat().st_size} bytes of text")


def from_file(client):
    """A job as a file beside its data, posted from another folder at another price."""
    path, rpc = client.path("lora.toml"), ["--rpc", client.net.nodes[0].url]
    path.write_text('key = "dev:0"\ndata = "lora.tyd"\nprogram = "lora.program"\nprice = 9\naudit-fee = 0.01\n')
    number = client.test.json("job", "submit", "--file", path, *rpc, "--price", 1)["id"]
    expect_equal(client.test.json("job", "status", number, *rpc)["pricePerSegmentWei"], str(10**18), "the price of the command line")
    return number


def fine_tune(client):
    test, net = client.test, client.net
    base = net.submit(segments=3, steps=8)["id"]
    first = client.receive(base, "base")
    new = client.path("new.txt")
    new.write_text("seven engines wait at the yard; the eighth one pulls them home again.\n" * 200)
    test.cli("program", "finetune", "--model", client.path("base"), "--data", new, "--rank", 4, "--out", client.path("lora.program"),
             "--data-out", client.path("lora.tyd"), *RUN)
    number = from_file(client)
    lost = test.cli("job", "download", number, "--rpc", net.nodes[0].url, "--out", client.path("cnn"), code=1)
    expect("holds another model" in lost.text, f"a model is not replaced by that of another job: {lost.text}")
    losses = client.receive(number, "tuned")
    expect(losses[-1] < losses[0], f"the loss of the fine-tune falls: {losses}")
    say(f"LoRA on the model of job {base} ({first[0]:.3f} -> {first[-1]:.3f}): job {number}, {losses[0]:.3f} -> {losses[-1]:.3f}")
    said = test.cli("sample", "--model", client.path("tuned"), "--prompt", "seven ", "--count", 20, seconds=120).out
    expect(said, "a fine-tuned model speaks")
    return base, number


def lineage(client, base, number):
    """The one who paid says which model the fine-tune continues; anyone can see it, nobody can change it."""
    test, rpc = client.test, ["--rpc", client.net.nodes[0].url]
    token = {model["job"]: model["token"] for model in map(json.loads, test.cli("--json", "model", "list", *rpc).out.splitlines())}
    describe = ["model", "describe", token[number], "--title", "Yard talk", "--parent", token[base], "--royalty", "2.5"]
    refused = test.cli(*describe, *rpc, "--key", "dev:3", code=1)
    expect("only the one who paid" in refused.text, f"a stranger is told why: {refused.text}")
    test.cli(*describe, *rpc, "--key", "dev:0")
    shown = test.json("model", "show", token[number], *rpc)
    expect_equal((shown["title"], shown["parents"], shown["segmentsMatch"]), ("Yard talk", [token[base]], True), "words of the payer")
    expect_equal([a["job"] for a in shown["ancestors"]], [base], "jobs of the ancestors")
    again = test.cli("model", "describe", token[number], "--parent", token[base], *rpc, "--key", "dev:0", code=1)
    expect("set" in again.text, f"a lineage is written once: {again.text}")
    later = test.cli("model", "describe", token[base], "--parent", token[number], *rpc, "--key", "dev:0", code=2)
    expect("not older" in later.text, f"no model comes from a later one: {later.text}")
    untitled = test.cli("model", "describe", token[base], "--title", "a/b", *rpc, "--key", "dev:0", code=1)
    expect("1 to 64 letters" in untitled.text, f"what a title may be: {untitled.text}")
    for key, words in (("dev:3", "is paid by 0xf39fd6"), ("dev:0", "closed already")):
        kept = test.cli("job", "cancel", base, *rpc, "--key", key, code=1)
        expect(words in kept.text, f"why a job is not cancelled: {kept.text}")
    waited = test.cli("job", "status", base, "--wait", *rpc)
    expect("at the market: trainyard job withdraw" in waited.out, f"what is left of the escrow is not forgotten: {waited.text}")
    say(test.cli("model", "show", token[number], *rpc).out.strip().splitlines()[0])


def run(test):
    net = Devnet(test).start()
    net.provider("provider", 1).start()
    client = Client(test, net)
    image_jobs(client)
    little_data(client)
    lineage(client, *fine_tune(client))


if __name__ == "__main__":
    main(run)
