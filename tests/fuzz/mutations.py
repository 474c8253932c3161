"""Damage as files suffer it: bits and bytes, lines and words, numbers that are none, cuts and repeats."""

import random

NUMBERS = [b"nan", b"-inf", b"1e999", b"-1", b"0", b"1e-320", b"99999999999999999999", b"2147483648", b"0x10", b""]
BYTES = [
    b"\x00",
    b"\xff",
    b"\x80",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b"{",
    b"}",
    b'"',
    b"#",
    b":",
    b"\xef\xbb\xbf",
    b"\xf0\x9f",
]
SIZES = [
    b"\x00" * 4,
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x01\x00\x00\x00",
    b"\xff" * 8,
    b"\x00" * 8,
]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(KINDS)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Anywhere, but half of the time near the beginning, where headers are."""
    return rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data)) if data else 0


def flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    at, new = _place(data, rng), rng.choice(SIZES + BYTES)
    return data[:at] + new + data[at + len(new) :]


def insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(BYTES + NUMBERS) * rng.choice((1, 1, 1, 40)) + data[at:]


def remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 1, 2, 7, 100, 5000)) :]


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def double(data: bytes, rng: random.Random) -> bytes:
    a, size = _place(data, rng), rng.choice((1, 8, 60, 1000))
    return data[:a] + data[a : a + size] * rng.choice((2, 2, 30)) + data[a + size :]


def move(data: bytes, rng: random.Random) -> bytes:
    a, b, size = _place(data, rng), _place(data, rng), rng.choice((1, 8, 60, 1000))
    piece, rest = data[a : a + size], data[:a] + data[a + size :]
    return rest[:b] + piece + rest[b:]


def number(data: bytes, rng: random.Random) -> bytes:
    """Another number in the place of a word."""
    words = data.split(b" ")
    at = rng.randrange(len(words))
    words[at] = rng.choice(NUMBERS) + (b"\n" if words[at].endswith(b"\n") else b"")
    return b" ".join(words)


def lines(data: bytes, rng: random.Random) -> bytes:
    """A line dropped, doubled or swapped with another."""
    rows = data.split(b"\n")
    a, b = rng.randrange(len(rows)), rng.randrange(len(rows))
    kind = rng.randrange(3)
    if kind == 0:
        del rows[a]
    elif kind == 1:
        rows.insert(b, rows[a])
    else:
        rows[a], rows[b] = rows[b], rows[a]
    return b"\n".join(rows)


KINDS = (flip, overwrite, insert, remove, cut, double, move, number, lines)
