"""A protocol on the wire: its header, its frames, how a stream of octets is cut into them.

Policy
- A frame says its own length first. One that is shorter than a header or longer than the protocol allows is Malformed:
  nobody knows where the next begins, so that link must close.
- A command that is in no table is no error of the codec: it comes out as a Pdu without fields named by its number, and
  the link decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.carriers.wire.fields import Field, Layout, Malformed, Value, Values

LENGTH_OCTETS = 4


class Pdu(NamedTuple):
    """One frame: its kind, and its fields, those of the header after length and command included."""

    name: str
    fields: dict[str, Value]


class Codec:
    """One version of one protocol."""

    def __init__(self, name: str, header: Sequence[Field], layouts: Sequence[Layout], longest: int) -> None:
        """`header` are the fields after the length (u32) and the command (u32); `longest` frame in octets."""
        self.name, self.longest = name, longest
        self.layouts: Mapping[str, Layout] = {layout.name: layout for layout in layouts}
        self._by_command = {layout.command: layout for layout in layouts}
        self._names = tuple(field.name for field in header)
        self._defaults = tuple(field.default for field in header)
        self._header = struct.Struct("!II" + "".join(field.code for field in header))
        self.header = self._header.size

    def encode(self, name: str, values: Values) -> bytes:
        """The octets of a frame; fields that are not given have their default. Malformed says what does not fit."""
        layout = self.layouts[name]
        body = layout.pack(values)
        head = [values.get(field, default) for field, default in zip(self._names, self._defaults, strict=True)]
        try:
            return self._header.pack(self.header + len(body), layout.command, *head) + body
        except struct.error as error:
            raise Malformed(f"报文头放不下：{error}", f"the header does not hold it: {error}") from None

    def decode(self, frame: bytes) -> Pdu:
        """A whole frame. Malformed where it is cut off within, or its length is not its own."""
        if len(frame) < self.header:
            raise Malformed(f"只有 {len(frame)} 个八位组，不足报文头", f"{len(frame)} octets are less than a header")
        length, command, *head = self._header.unpack_from(frame)
        if length != len(frame):
            raise Malformed(f"报文头说长 {length}，实长 {len(frame)}", f"says {length} octets and has {len(frame)}")
        layout = self._by_command.get(command)
        if layout is None:
            return Pdu(f"0x{command:08X}", dict(zip(self._names, head, strict=True)))
        values = layout.unpack(frame, self.header)
        values.update(zip(self._names, head, strict=False))
        return Pdu(layout.name, values)

    def frames(self, buffer: bytearray) -> Iterator[bytes]:
        """Take whole frames off the front of the buffer; Malformed at a length that no frame has."""
        at, end = 0, len(buffer)
        try:
            while end - at >= LENGTH_OCTETS:
                length = int.from_bytes(buffer[at : at + LENGTH_OCTETS], "big")
                if not self.header <= length <= self.longest:
                    raise Malformed(f"报文长 {length} 不可能", f"no frame has {length} octets")
                if end - at < length:
                    break
                yield bytes(buffer[at : at + length])
                at += length
        finally:
            del buffer[:at]

    def show(self, frame: bytes) -> dict[str, Any]:
        """A frame as JSON has it: `{"pdu": name, "fields": {...}}`, octets in hexadecimal."""
        name, fields = self.decode(frame)
        shown = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
        return {"pdu": name, "fields": shown}

    def read(self, name: str, fields: Mapping[str, Any]) -> bytes:
        """The octets of a frame that `show` showed; Malformed names what is unknown or does not fit."""
        layout = self.layouts.get(name)
        if layout is None:
            listed = ", ".join(self.layouts)
            raise Malformed(f"没有报文 {name}；有：{listed}", f"no frame {name}; there are: {listed}")
        if unknown := self.unknown(name, fields):
            listed = ", ".join([*self._names, *sorted(layout.known)])
            raise Malformed(f"{name} 没有字段 {unknown[0]}；有：{listed}", f"{name} has no {unknown[0]}, but: {listed}")
        return self.encode(name, {key: _read(key, value, layout) for key, value in fields.items()})

    def unknown(self, name: str, values: Values) -> list[str]:
        """Names of values that are no fields of this frame."""
        layout = self.layouts[name]
        return [key for key in values if key not in self._names and not layout.takes(key)]


def _read(name: str, value: Value, layout: Layout) -> Value:
    if isinstance(value, list):
        return tuple(value)
    if name not in layout.octets and not name.startswith("0x"):
        return value
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise Malformed(f"{name} 应是十六进制", f"{name} should be hexadecimal") from None
