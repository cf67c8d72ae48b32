#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds of one training step of a GPT in PyTorch, bfloat16 with float32 weights, on the first CUDA device.

usage: torch_step.py LAYERS WIDTH SEQUENCE VOCABULARY SEQUENCES     exit code 1 without PyTorch or a device
"""
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    sys.exit(1)

HEAD = 64
WARM_UP, TURNS = 5, 20


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


def main():
    if not torch.cuda.is_available():
        return 1
    layers, width, sequence, vocabulary, sequences = map(int, sys.argv[1:])
    model = torch.compile(Gpt(layers, width, sequence, vocabulary).cuda())
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(vocabulary, (sequences, sequence + 1), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(WARM_UP):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TURNS):
        step()
    torch.cuda.synchronize()
    print((time.perf_counter() - start) / TURNS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
