#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch on the first CUDA device: int8 products, and steps of a GPT in bfloat16 with float32 weights.

usage: torch_step.py SECONDS SHAPE...     exit code 1 without PyTorch or a device

SHAPE is N,I,O of a product (torch._int_mm: cuBLASLt, int8 to int32, nothing quantised) or LAYERS,WIDTH,SEQUENCE,
VOCABULARY,SEQUENCES of a step. Prints one line of JSON for each as soon as it is measured: products, then all steps as they
are (eager), then all by torch.compile, which takes tens of seconds for each: a shape gets COMPILE_SECONDS_MAX of what is left
of SECONDS, and where that is too little a line says so.
"""
import gc
import json
import signal
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    sys.exit(1)

HEAD = 64
WARM_UP, TURNS = 3, 10
COMPILE_SECONDS_MAX = 60


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        batch, positions, width = x.shape
        heads = self.qkv(self.first(x)).view(batch, positions, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, positions, width))
        return x + self.down(F.gelu(self.up(self.second(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, width, sequence, vocabulary):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(sequence, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.places.weight
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


def seconds_per_turn(turn):
    """After WARM_UP turns, which compile, tune and make memory."""
    for _ in range(WARM_UP):
        turn()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TURNS):
        turn()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / TURNS


def product_seconds(n, i, o):
    """The faster of two layouts of the second operand. Numbers are spread as quantised ones are: the clock depends on them."""
    def operand(rows, cols):
        return (torch.randn(rows, cols, device="cuda") * 32).clamp(-127, 127).to(torch.int8)

    a, b = operand(n, i), operand(i, o)
    took, failed = [], None
    for second in (b, b.t().contiguous().t()):
        try:
            took.append(seconds_per_turn(lambda b=second: torch._int_mm(a, b)))
        except RuntimeError as error:
            failed = error
    if not took:
        raise failed
    return min(took)


def step_seconds(sizes, is_compiled):
    layers, width, sequence, vocabulary, sequences = sizes
    with torch.device("cuda"):
        plain = Gpt(layers, width, sequence, vocabulary)
    model = torch.compile(plain) if is_compiled else plain
    optimiser = torch.optim.AdamW(plain.parameters(), fused=True)
    tokens = torch.randint(vocabulary, (sequences, sequence + 1), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return seconds_per_turn(step)


def raise_timeout(*_):
    raise TimeoutError("not in time")


def measure(entry, call, seconds):
    """Prints `entry` with the seconds that `call` returns, or with what went wrong."""
    try:
        if seconds < 1:
            raise TimeoutError("not in time")
        signal.setitimer(signal.ITIMER_REAL, seconds)
        entry["s"] = call()
    except Exception as error:  # PyTorch wraps what is raised while it compiles
        entry["error"] = (str(error).splitlines() or [type(error).__name__])[0][:120]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(entry), flush=True)
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        return 1
    deadline = time.monotonic() + float(sys.argv[1])
    shapes = [tuple(map(int, word.split(","))) for word in sys.argv[2:]]
    signal.signal(signal.SIGALRM, raise_timeout)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for shape in shapes:
        if len(shape) == 3:
            measure({"product": shape}, lambda: product_seconds(*shape), deadline - time.monotonic())
    for mode in ("eager", "compiled"):
        for shape in shapes:
            if len(shape) != 5:
                continue
            left = deadline - time.monotonic()
            is_compiled = mode == "compiled"
            measure({"step": shape, "mode": mode}, lambda: step_seconds(shape, is_compiled),
                    min(left, COMPILE_SECONDS_MAX) if is_compiled else left)
    return 0


if __name__ == "__main__":
    sys.exit(main())
