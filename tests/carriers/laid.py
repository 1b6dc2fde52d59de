"""Frames laid out by hand, octet by octet, from the tables of the specifications: offset and what stands there."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

Octets = bytes | str | int


def laid(total: int, at: Mapping[int, Octets | tuple[int, int]]) -> bytes:
    """A frame of `total` octets, its length in front; texts as ASCII, a number as (value, width), one octet as int."""
    frame = bytearray(total)
    frame[:4] = total.to_bytes(4, "big")
    for offset, value in at.items():
        octets = _octets(value)
        assert not any(frame[offset : offset + len(octets)]), f"offset {offset} is taken"
        frame[offset : offset + len(octets)] = octets
    assert len(frame) == total
    return bytes(frame)


def _octets(value: Octets | tuple[int, int]) -> bytes:
    if isinstance(value, tuple):
        return value[0].to_bytes(value[1], "big")
    if isinstance(value, int):
        return bytes([value])
    return value.encode("ascii") if isinstance(value, str) else value


def fixed_text(size: int) -> st.SearchStrategy[str]:
    """What a text field of `size` octets gives back as it was."""
    return st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=size)


u8s, u32s, u64s = st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
