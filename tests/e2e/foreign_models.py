# SPDX-License-Identifier: Apache-2.0
"""Small models in the files of others, and what they compute, in plain Python from the papers and file formats.

Sources: the safetensors and ONNX format descriptions; GPT-2 (Radford et al. 2019) with Conv1D weights of inputs x outputs;
Llama (arXiv:2302.13971) with rotary halves, RMSNorm, SwiGLU and grouped keys (arXiv:2305.13245).
"""
import json
import math
import operator
import struct

VOCABULARY, WIDTH, HEADS, LAYERS, POSITIONS = 256, 32, 4, 2, 16
HEAD = WIDTH // HEADS
KINDS = {"F32": 4, "F16": 2, "BF16": 2}


def pack(values, kind):
    if kind == "BF16":
        return b"".join(struct.pack("<f", x)[2:] for x in values)
    return struct.pack(f"<{len(values)}{'f' if kind == 'F32' else 'e'}", *values)


def unpack(content, kind):
    if kind == "BF16":
        return [struct.unpack("<f", b"\0\0" + content[i:i + 2])[0] for i in range(0, len(content), 2)]
    return list(struct.unpack(f"<{len(content) // KINDS[kind]}{'f' if kind == 'F32' else 'e'}", content))


def write_safetensors(path, tensors, kind):
    """tensors: name -> (shape, values), written in the order given, as real files are."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in tensors.items():
        content = pack(values, kind)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def check_safetensors(path):
    """The rules of the format; name -> (shape, values)."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    assert size % 8 == 0 and content[8:9] == b"{", f"{path}: header"
    header = json.loads(content[8:8 + size].decode("utf-8"))
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(x, str) for x in metadata.values()), f"{path}: metadata are strings"
    body, end, out = content[8 + size:], 0, {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = t["data_offsets"]
        assert set(t) == {"dtype", "shape", "data_offsets"} and t["dtype"] == "F32", f"{path}: {name}"
        assert first == end and first % 4 == 0, f"{path}: {name} leaves a gap or overlaps"
        assert last - first == 4 * math.prod(t["shape"]), f"{path}: {name} has another length than its shape"
        out[name] = (t["shape"], unpack(body[first:last], "F32"))
        end = last
    assert end == len(body), f"{path}: bytes after the last tensor"
    return out


def dot(a, b):
    return sum(map(operator.mul, a, b))


def rows_of(values, columns):
    return [values[i:i + columns] for i in range(0, len(values), columns)]


def turned(rows):
    return [list(column) for column in zip(*rows)]


def attend(q, k, v):
    """One head, causal."""
    out = []
    for i, query in enumerate(q):
        scores = [dot(query, key) / math.sqrt(len(query)) for key in k[:i + 1]]
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        total = sum(weights)
        out.append([sum(w * value[c] for w, value in zip(weights, v)) / total for c in range(len(query))])
    return out


class Model:
    def __init__(self, rng, kind):
        self.rng, self.kind, self.tensors = rng, kind, {}

    def add(self, name, *shape, scale=0.25, shift=0.0):
        drawn = [shift + scale * self.rng.gauss(0, 1) for _ in range(math.prod(shape))]
        self.tensors[name] = (list(shape), unpack(pack(drawn, self.kind), self.kind))

    def values(self, name):
        return self.tensors[name][1]

    def matrix(self, name):
        shape, values = self.tensors[name]
        return rows_of(values, shape[1])

    def write(self, folder):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(self.config()))
        write_safetensors(folder / "model.safetensors", self.tensors, self.kind)


class Gpt2(Model):
    def __init__(self, rng, kind="F32"):
        super().__init__(rng, kind)
        d = WIDTH
        self.columns = True
        self.add("wte.weight", VOCABULARY, d)
        self.add("wpe.weight", POSITIONS, d)
        for layer in range(LAYERS):
            at = f"h.{layer}."
            # The mask that real files hold among the weights; nobody reads it.
            self.tensors[at + "attn.bias"] = ([1, 1, 4, 4], [float(j <= i) for i in range(4) for j in range(4)])
            for norm in ["ln_1", "ln_2"]:
                self.add(at + norm + ".weight", d, shift=1.0)
                self.add(at + norm + ".bias", d)
            for name, inputs, outputs in [("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, 4 * d), ("mlp.c_proj", 4 * d, d)]:
                self.add(at + name + ".weight", inputs, outputs)
                self.add(at + name + ".bias", outputs)
        self.add("ln_f.weight", d, shift=1.0)
        self.add("ln_f.bias", d)

    def config(self):
        return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCABULARY, "n_positions": POSITIONS,
                "n_ctx": POSITIONS, "n_layer": LAYERS, "n_embd": WIDTH, "n_head": HEADS, "n_inner": None,
                "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.1}

    def exported(self):
        return {name: tensor for name, tensor in self.tensors.items() if not name.endswith(".attn.bias")}

    def broken(self):
        """The same weights with those of the first layer's output read as outputs x inputs."""
        other = Gpt2.__new__(Gpt2)
        other.kind, other.tensors = self.kind, dict(self.tensors)
        name = "h.0.attn.c_proj.weight"
        other.tensors[name] = ([WIDTH, WIDTH], sum(turned(self.matrix(name)), []))
        return other

    def norm(self, x, at):
        out = []
        for row in x:
            mean = sum(row) / len(row)
            r = 1 / math.sqrt(sum((a - mean) ** 2 for a in row) / len(row) + 1e-5)
            out.append([(a - mean) * r * g + b for a, g, b in zip(row, self.values(at + ".weight"), self.values(at + ".bias"))])
        return out

    def dense(self, x, at):
        columns, bias = turned(self.matrix(at + ".weight")), self.values(at + ".bias")
        return [[dot(row, column) + b for column, b in zip(columns, bias)] for row in x]

    def logits(self, tokens):
        add = lambda a, b: [[x + y for x, y in zip(*rows)] for rows in zip(a, b)]
        gelu = lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
        e, positions = self.matrix("wte.weight"), self.matrix("wpe.weight")
        x = add([e[t] for t in tokens], positions[:len(tokens)])
        for layer in range(LAYERS):
            at = f"h.{layer}."
            qkv = self.dense(self.norm(x, at + "ln_1"), at + "attn.c_attn")
            heads = []
            for h in range(HEADS):
                part = lambda which: [row[which * WIDTH + h * HEAD:][:HEAD] for row in qkv]
                heads.append(attend(part(0), part(1), part(2)))
            mixed = [sum((head[i] for head in heads), []) for i in range(len(tokens))]
            x = add(x, self.dense(mixed, at + "attn.c_proj"))
            up = self.dense(self.norm(x, at + "ln_2"), at + "mlp.c_fc")
            x = add(x, self.dense([[gelu(u) for u in row] for row in up], at + "mlp.c_proj"))
        return [[dot(row, column) for column in e] for row in self.norm(x, "ln_f")]


class Llama(Model):
    INNER = 80

    def __init__(self, rng, grouped, kind, tied=False):
        super().__init__(rng, kind)
        self.groups, self.tied, self.rotates = HEADS // 2 if grouped else HEADS, tied, True
        d, shared = WIDTH, self.groups * HEAD
        self.add("model.embed_tokens.weight", VOCABULARY, d)
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            self.add(at + "input_layernorm.weight", d, shift=1.0)
            for name, outputs, inputs in [("self_attn.q_proj", d, d), ("self_attn.k_proj", shared, d), ("self_attn.v_proj", shared, d),
                                          ("self_attn.o_proj", d, d), ("mlp.gate_proj", self.INNER, d), ("mlp.up_proj", self.INNER, d),
                                          ("mlp.down_proj", d, self.INNER)]:
                self.add(at + name + ".weight", outputs, inputs)
            self.add(at + "post_attention_layernorm.weight", d, shift=1.0)
        self.add("model.norm.weight", d, shift=1.0)
        if not tied:
            self.add("lm_head.weight", VOCABULARY, d)

    def config(self):
        return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": WIDTH,
                "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": self.groups, "intermediate_size": self.INNER,
                "max_position_embeddings": POSITIONS, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0, "rope_scaling": None,
                "attention_bias": False, "tie_word_embeddings": self.tied}

    def exported(self):
        """Without the prefix; products as inputs x outputs."""
        out = {}
        for name, (shape, values) in self.tensors.items():
            product = name.endswith("_proj.weight") or name == "lm_head.weight"
            turn = lambda: ([shape[1], shape[0]], sum(turned(self.matrix(name)), []))
            out[name.removeprefix("model.")] = turn() if product else (shape, values)
        return out

    def broken(self):
        """The same weights without the rotation of positions."""
        other = Llama.__new__(Llama)
        other.__dict__.update(self.__dict__)
        other.rotates = False
        return other

    def norm(self, x, name):
        gains, out = self.values(name + ".weight"), []
        for row in x:
            r = 1 / math.sqrt(sum(a * a for a in row) / len(row) + 1e-5)
            out.append([a * r * g for a, g in zip(row, gains)])
        return out

    def dense(self, x, name):
        rows = self.matrix(name + ".weight")
        return [[dot(a, row) for row in rows] for a in x]

    def rotated(self, rows):
        if not self.rotates:
            return rows
        half, out = HEAD // 2, []
        for position, row in enumerate(rows):
            angles = [position * 10000.0 ** (-2 * i / HEAD) for i in range(half)]
            low = [row[i] * math.cos(a) - row[i + half] * math.sin(a) for i, a in enumerate(angles)]
            high = [row[i + half] * math.cos(a) + row[i] * math.sin(a) for i, a in enumerate(angles)]
            out.append(low + high)
        return out

    def logits(self, tokens):
        add = lambda a, b: [[x + y for x, y in zip(*rows)] for rows in zip(a, b)]
        e = self.matrix("model.embed_tokens.weight")
        x = [e[t] for t in tokens]
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            y = self.norm(x, at + "input_layernorm")
            q, k, v = (self.dense(y, at + f"self_attn.{which}_proj") for which in "qkv")
            heads = []
            for h in range(HEADS):
                g = h * self.groups // HEADS
                part = lambda rows, i: [row[i * HEAD:(i + 1) * HEAD] for row in rows]
                heads.append(attend(self.rotated(part(q, h)), self.rotated(part(k, g)), part(v, g)))
            mixed = [sum((head[i] for head in heads), []) for i in range(len(tokens))]
            x = add(x, self.dense(mixed, at + "self_attn.o_proj"))
            y = self.norm(x, at + "post_attention_layernorm")
            gate, up = self.dense(y, at + "mlp.gate_proj"), self.dense(y, at + "mlp.up_proj")
            inner = [[a / (1 + math.exp(-a)) * b for a, b in zip(*rows)] for rows in zip(gate, up)]
            x = add(x, self.dense(inner, at + "mlp.down_proj"))
        head = e if self.tied else self.matrix("lm_head.weight")
        return [[dot(row, column) for column in head] for row in self.norm(x, "model.norm")]


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A field of a Protobuf message: an integer, text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


class OnnxClassifier:
    """Two convolutions and a dense layer over images of 3 x 16 x 16, four classes."""

    def __init__(self, rng):
        draw = lambda count, scale: unpack(pack([scale * rng.gauss(0, 1) for _ in range(count)], "F32"), "F32")
        self.weights = {"k1": ([4, 3, 3, 3], draw(108, 0.4)), "b1": ([4], draw(4, 0.2)), "k2": ([5, 4, 3, 3], draw(180, 0.4)),
                        "b2": ([5], draw(5, 0.2)), "w": ([4, 320], draw(1280, 0.3)), "b": ([4], draw(4, 0.1))}

    def file(self):
        def node(kind, inputs, output, **attributes):
            body = b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, output) + field(4, kind)
            for name, value in attributes.items():
                numbers = value if isinstance(value, list) else None
                content = field(8, b"".join(map(varint, numbers))) + field(20, 7) if numbers else field(3, value) + field(20, 2)
                body += field(5, field(1, name) + content)
            return field(1, body)

        def tensor(name, shape, values):
            return field(5, field(1, b"".join(map(varint, shape))) + field(2, 1) + field(8, name) + field(9, pack(values, "F32")))

        def value(number, name, *dims):
            shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
            return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))

        graph = (node("Conv", ["x", "k1", "b1"], "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]) + node("Relu", ["c1"], "r1")
                 + node("Conv", ["r1", "k2", "b2"], "c2", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]) + node("Relu", ["c2"], "r2")
                 + node("Flatten", ["r2"], "f", axis=1) + node("Gemm", ["f", "w", "b"], "z", transB=1) + field(2, "classifier")
                 + b"".join(tensor(name, *t) for name, t in self.weights.items()) + value(11, "x", "N", 3, 16, 16) + value(12, "z", "N", 4))
        return field(1, 8) + field(7, graph) + field(8, field(2, 17))

    def convolve(self, maps, kernel, bias, stride):
        (outputs, inputs, size, _), k = self.weights[kernel]
        side, out = len(maps[0]), []
        for o in range(outputs):
            plane = []
            for y in range(0, side, stride):
                row = []
                for x in range(0, side, stride):
                    total = self.weights[bias][1][o]
                    for i in range(inputs):
                        for ky in range(size):
                            for kx in range(size):
                                iy, ix = y + ky - 1, x + kx - 1
                                if 0 <= iy < side and 0 <= ix < side:
                                    total += maps[i][iy][ix] * k[((o * inputs + i) * size + ky) * size + kx]
                    row.append(max(0.0, total))
                plane.append(row)
            out.append(plane)
        return out

    def scores(self, pixels):
        """pixels: line by line, the channels of a pixel side by side."""
        maps = [[[pixels[(y * 16 + x) * 3 + c] for x in range(16)] for y in range(16)] for c in range(3)]
        maps = self.convolve(self.convolve(maps, "k1", "b1", 1), "k2", "b2", 2)
        flat = [value for plane in maps for row in plane for value in row]
        return [dot(flat, row) + b for row, b in zip(rows_of(self.weights["w"][1], 320), self.weights["b"][1])]
