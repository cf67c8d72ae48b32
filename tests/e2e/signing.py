# SPDX-License-Identifier: Apache-2.0
"""Transactions of the development accounts, signed without any library: for tests that send many of them.

The keys are public ones (the usual development mnemonic); nothing here is fit for keys that are worth something.
"""
import hashlib

# Private keys of dev:0 to dev:9.
KEYS = [int(key, 16) for key in (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)]


# --- Keccak-256 (FIPS 202's permutation with the padding of 2011)

MASK = (1 << 64) - 1
ROTATIONS = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14]


def _round_constants():
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


CONSTANTS = _round_constants()


def _rotate(word, by):
    return ((word << by) | (word >> (64 - by))) & MASK if by else word


def _permute(a):
    for constant in CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ _rotate(c[(x + 1) % 5], 1) for x in range(5)]
        b = [0] * 25
        for i in range(25):
            x, y = i % 5, i // 5
            b[y + 5 * ((2 * x + 3 * y) % 5)] = _rotate(a[i] ^ d[x], ROTATIONS[i])
        a = [b[i] ^ (~b[i // 5 * 5 + (i + 1) % 5] & MASK & b[i // 5 * 5 + (i + 2) % 5]) for i in range(25)]
        a[0] ^= constant
    return a


def keccak256(data):
    rate = 136
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % rate)
    padded[-1] |= 0x80
    state = [0] * 25
    for block in range(0, len(padded), rate):
        for i in range(rate // 8):
            state[i] ^= int.from_bytes(padded[block + 8 * i:block + 8 * i + 8], "little")
        state = _permute(state)
    return b"".join(word.to_bytes(8, "little") for word in state[:4])


# --- secp256k1 (SEC 2, section 2.4.1), in Jacobian coordinates

P = 2**256 - 2**32 - 977
N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
G = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
     0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)


def _double(point):
    x, y, z = point
    s, m = 4 * x * y * y % P, 3 * x * x % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * pow(y, 4, P)) % P, 2 * y * z % P


def _add_affine(point, other):
    if point is None:
        return (*other, 1)
    x, y, z = point
    zz = z * z % P
    h, r = (other[0] * zz - x) % P, (other[1] * zz * z - y) % P
    if h == 0:
        return _double(point)  # never the inverse: scalars are below N
    hh = h * h % P
    x3 = (r * r - hh * h - 2 * x * hh) % P
    return x3, (r * (x * hh - x3) - y * hh * h) % P, z * h % P


def _times_g(scalar):
    point = None
    for bit in bin(scalar)[2:]:
        point = _double(point) if point else None
        if bit == "1":
            point = _add_affine(point, G)
    inverse = pow(point[2], -1, P)
    return point[0] * inverse * inverse % P, point[1] * pow(inverse, 3, P) % P


def sign(key, digest):
    """r, s, parity of the point; low s. The nonce is a hash of key and digest."""
    nonce = int.from_bytes(hashlib.sha256(key.to_bytes(32, "big") + digest).digest(), "big") % N
    x, y = _times_g(nonce)
    s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + x * key) % N
    return (x, s, y & 1) if s <= N // 2 else (x, N - s, 1 - (y & 1))


def address_of(key):
    x, y = _times_g(key)
    return "0x" + keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:].hex()


# --- transactions


def rlp(item):
    if isinstance(item, list):
        body, base = b"".join(map(rlp, item)), 0xc0
    else:
        body, base = item if isinstance(item, bytes) else item.to_bytes((item.bit_length() + 7) // 8, "big"), 0x80
        if len(body) == 1 and body[0] < 0x80:
            return body
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length + body


def transaction(key, chain_id, nonce, to, value=0, data=b"", gas=21_000, fee=10**10, tip=10**9, keccak=keccak256):
    """A signed EIP-1559 transaction as 0x-text, and its hash. `keccak` may be a faster one for large data."""
    fields = [chain_id, nonce, tip, fee, gas, bytes.fromhex(to[2:]), value, data, []]
    r, s, parity = sign(key, keccak(b"\x02" + rlp(fields)))
    raw = b"\x02" + rlp([*fields, parity, r, s])
    return "0x" + raw.hex(), "0x" + keccak(raw).hex()
