"""Encoded values, written from docs/wire.md: what a client in another language would have to do."""

import struct

NULL, MSGPACK, NDARRAY, PICKLE, ERROR = range(5)
HEADER = struct.Struct("<IBBHQIIQ")  # magic, version, kind, -, body, buffers, -, total
ENTRY = struct.Struct("<QQ")  # offset, size
MAGIC = 0x564E4C4B


def encode(kind, body=b"", buffers=()):
    table, end = [], HEADER.size + ENTRY.size * len(buffers) + len(body)
    for buffer in buffers:
        offset = (end + 63) // 64 * 64
        table.append((offset, len(buffer)))
        end = offset + len(buffer)
    value = bytearray(HEADER.pack(MAGIC, 1, kind, 0, len(body), len(buffers), 0, end))
    for entry in table:
        value += ENTRY.pack(*entry)
    value += body
    for (offset, _), buffer in zip(table, buffers):
        value += bytes(offset - len(value)) + buffer
    return bytes(value)


def decode(value):
    """Returns: kind, body and buffers, taken from where the header says they are."""
    magic, version, kind, zero, body_bytes, count, zero2, total = HEADER.unpack_from(value)
    if (magic, version, zero, zero2, total) != (MAGIC, 1, 0, 0, len(value)):
        raise AssertionError(f"not a value: {value[:32].hex()}")
    entries = [ENTRY.unpack_from(value, HEADER.size + ENTRY.size * i) for i in range(count)]
    body_at = HEADER.size + ENTRY.size * count
    return (kind, value[body_at:body_at + body_bytes],
            [value[offset:offset + size] for offset, size in entries])


def integer(number):
    """A msgpack int 32 as a value."""
    return encode(MSGPACK, b"\xd2" + struct.pack(">i", number))


def text(words):
    """A msgpack str 32 as a value."""
    data = words.encode()
    return encode(MSGPACK, b"\xdb" + struct.pack(">I", len(data)) + data)


def doubles(rows):
    """A two-dimensional array of float64 as a value."""
    body = b"\x82\xa5dtype\xa3<f8\xa5shape\x92" + b"".join(
        b"\xce" + struct.pack(">I", length) for length in (len(rows), len(rows[0])))
    numbers = [number for row in rows for number in row]
    return encode(NDARRAY, body, [struct.pack(f"<{len(numbers)}d", *numbers)])


def number(value):
    """The integer that a value is; a small subset of msgpack."""
    kind, body, _ = decode(value)
    if kind != MSGPACK:
        raise AssertionError(f"no number but a value of kind {kind}: {body}")
    if body[0] < 0x80:
        return body[0]
    if body[0] >= 0xE0:
        return body[0] - 0x100
    size, signed = {0xCC: (1, False), 0xCD: (2, False), 0xCE: (4, False), 0xCF: (8, False),
                    0xD0: (1, True), 0xD1: (2, True), 0xD2: (4, True), 0xD3: (8, True)}[body[0]]
    return int.from_bytes(body[1:1 + size], "big", signed=signed)


def error(kind, message):
    """An error as a worker reports it."""
    def text8(words):
        return b"\xd9" + bytes([len(words)]) + words.encode()

    body = b"\x86" + b"".join(text8(key) + text8(words) for key, words in [
        ("kind", kind), ("type", "Error"), ("message", message), ("task", "")])
    return encode(ERROR, body + text8("pid") + b"\x00" + text8("chain") + b"\x90")
