"""Septets of the 7-bit alphabet in octets, least significant bit first (3GPP TS 23.038 section 6.1.2). Pure."""

from __future__ import annotations


def pack(septets: bytes, fill: int = 0) -> bytes:
    """Septets behind so many bits of filling, least significant bit first."""
    bits = sum(septet << 7 * at for at, septet in enumerate(septets)) << fill
    return bits.to_bytes((7 * len(septets) + fill + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill: int = 0) -> bytes:
    """At most `count` septets, one an octet."""
    bits, count = int.from_bytes(octets, "little") >> fill, min(count, max(0, 8 * len(octets) - fill) // 7)
    return bytes(bits >> 7 * at & 0x7F for at in range(count))
