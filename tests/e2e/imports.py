# SPDX-License-Identifier: Apache-2.0
"""Models of other formats: GPT-2, Llama and ONNX files made here, imported, compared with forward passes in plain Python
(binary64, none of our code), fine-tuned with LoRA and with every weight, and exported.

usage: imports.py PATH_OF_TRAINYARD
"""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from foreign_models import Gpt2, Llama, OnnxClassifier, check_safetensors

TRAINYARD = sys.argv[1]
SENTENCES = "the train leaves at dawn. the yard is quiet. seven engines wait. "


def call(*words, raw=False):
    flags = [] if raw else ["--json"]
    done = subprocess.run([TRAINYARD, *flags, *map(str, words)], capture_output=True, timeout=300)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout if raw else json.loads(done.stdout.splitlines()[-1])


def rlp(data):
    """The first item of some RLP and how long it is."""
    first = data[0]
    if first < 0x80:
        return data[:1], 1
    is_list = first >= 0xC0
    size, start = first - (0xC0 if is_list else 0x80), 1
    if size > 55:
        start = 1 + size - 55
        size = int.from_bytes(data[1:start], "big")
    body = data[start:start + size]
    if not is_list:
        return body, start + size
    items = []
    while body:
        item, length = rlp(body)
        items.append(item)
        body = body[length:]
    return items, start + size


def held_out(program):
    """Numbers of the held-out records: docs/spec/training.md, section 4."""
    data = [int.from_bytes(x, "big") for x in rlp(program.read_bytes())[0][6]]
    sequence, stride, count, kind, elements = data[2], data[3], data[4], data[5], data[8]
    length = 1 if kind == 2 else sequence + 1
    every = ((elements - length) // stride + 1) // count
    return [every * (i + 1) - 1 for i in range(count)], sequence


class Bench:
    """One imported model in a folder of its own."""

    def __init__(self, folder, base, data):
        self.folder, self.base, self.data = folder, base, data

    def tune(self, name, *options):
        """Fine-tunes; what the run said, its losses, its program and its data set."""
        program, data, out = (self.folder / f"{name}{end}" for end in (".program", ".tyd", ""))
        call("program", "finetune", "--model", self.base, "--data", self.data, "--out", program, "--data-out", data,
             "--micro-batches", 1, *options)
        said = call("train", "--program", program, "--data", data, "--out", out, "--no-cuda")
        losses = [float(line.split(",")[1]) for line in (out / "loss.csv").read_text().splitlines()[1:]]
        return said, losses, program, out

    def check_loss(self, name, loss_of_record, steps, share):
        """Held-out loss without training, in float32 products and in int8 ones; then that both ways of tuning bring it below a
        share of that."""
        still = ["--rank", 0, "--steps", 1, "--learning-rate", 1e-30, "--sequences", 2]
        said, _, program, exported = self.tune("fp32", *still, "--recipe", "fp32")
        records, sequence = held_out(program)
        due = sum(loss_of_record(r, sequence) for r in records) / len(records)
        assert abs(said["heldOutLoss"] - due) < 1e-5 * due, f"{name}: {said['heldOutLoss']}, by plain Python {due}"
        int8 = self.tune("int8", *still)[0]["heldOutLoss"]
        assert abs(int8 - due) < 0.03 * due, f"{name}: int8 products give {int8}, by plain Python {due}"
        print(f"{name}: loss {due:.6f} by plain Python, {said['heldOutLoss']:.6f} imported, {int8:.6f} with int8 products")
        for rank in [0, 4]:
            tuned, losses, _, out = self.tune(f"rank{rank}", "--rank", rank, "--steps", steps, "--learning-rate", 0.01, "--sequences", 4)
            assert tuned["heldOutLoss"] < share * due, f"{name}, rank {rank}: {due} -> {tuned['heldOutLoss']}"
            for file in out.glob("*.safetensors"):
                check_safetensors(file)
            print(f"{name}, {'LoRA of rank 4' if rank else 'every weight'}: loss {losses[0]:.3f} -> {losses[-1]:.3f}, held out {tuned['heldOutLoss']:.3f}")
        return exported


def loss_at(logits, target):
    top = max(logits)
    return top + math.log(sum(math.exp(z - top) for z in logits)) - logits[target]


def as_a_terminal_bears_it(said):
    """UTF-8 without control characters but line ends; '?' for every other byte."""
    def is_kept(piece):
        try:
            (character,) = piece.decode()
        except ValueError:
            return False
        return character == "\n" or ord(character) >= 0xA0 or 0x20 <= ord(character) < 0x7F

    out = b""
    while said:
        size = next((n for n in (1, 2, 3, 4) if is_kept(said[:n])), 0)
        out += said[:size] or b"?"
        said = said[size or 1:]
    return out


def check_text(folder, name, model):
    """Loss, greedy text and exported weights of a GPT-2 or Llama folder."""
    folder.mkdir()
    model.write(folder / "hf")
    text = (SENTENCES * 40).encode()
    (folder / "text").write_bytes(text)
    call("program", "import", "--hf", folder / "hf", "--out", folder / "base")

    def loss_of_record(record, sequence):
        tokens = text[record * sequence:][:sequence + 1]
        rows = model.logits(list(tokens[:-1]))
        return sum(loss_at(z, t) for z, t in zip(rows, tokens[1:])) / sequence

    bench = Bench(folder, folder / "base", folder / "text")
    exported = bench.check_loss(name, loss_of_record, 40, 0.6)
    got, due = check_safetensors(exported / "model.safetensors"), model.exported()
    assert got == due, f"{name}: exported weights differ: {[t for t in due if got.get(t) != due[t]]}"
    tokens = list(b"the ")
    for _ in range(10):
        row = model.logits(tokens)[-1]
        tokens.append(max(range(len(row)), key=row.__getitem__))
    said = call("sample", "--model", exported, "--prompt", "the ", "--count", 10, "--temperature", 0, raw=True)
    shown = as_a_terminal_bears_it(bytes(tokens))
    assert shown in said, f"{name}: greedy text {bytes(tokens)} by plain Python, {said}"
    record = list(text[:17])
    right = loss_at(model.logits(record[:-1])[-1], record[-1])
    wrong = loss_at(model.broken().logits(record[:-1])[-1], record[-1])
    assert abs(wrong - right) > 1e-3 * right, f"{name}: a wrong layout would not be seen"


def check_images(folder):
    folder.mkdir()
    model = OnnxClassifier(random.Random(5))
    (folder / "model.onnx").write_bytes(model.file())
    call("data", "shapes", "--count", 320, "--out", folder / "shapes.tyd")
    call("program", "import", "--onnx", folder / "model.onnx", "--out", folder / "base")
    blob = (folder / "shapes.tyd").read_bytes()
    payload = struct.unpack("<Q", blob[48:56])[0]
    size = 16 * 16 * 3 + 2

    def image_of(record):
        image = blob[payload + record * size:][:size]
        return [(byte - 127.5) / 127.5 for byte in image[:-2]], struct.unpack("<H", image[-2:])[0]

    def loss_of_record(record, _):
        pixels, label = image_of(record)
        return loss_at(model.scores(pixels), label)

    Bench(folder, folder / "base", folder / "shapes.tyd").check_loss("ONNX classifier", loss_of_record, 150, 0.7)
    pixels, label = image_of(0)
    wrong = loss_at(model.scores(pixels[::3] + pixels[1::3] + pixels[2::3]), label)
    assert abs(wrong - loss_of_record(0, 1)) > 1e-3 * wrong, "a wrong layout of images would not be seen"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_text(folder / "gpt2", "GPT-2", Gpt2(random.Random(1)))
        check_text(folder / "llama", "Llama, grouped keys, BF16", Llama(random.Random(2), grouped=True, kind="BF16"))
        check_text(folder / "tied", "Llama, tied, F16", Llama(random.Random(3), grouped=False, kind="F16", tied=True))
        check_images(folder / "onnx")


if __name__ == "__main__":
    main()
