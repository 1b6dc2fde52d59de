"""Tables of fields: what a frame holds, in order. The table is the documentation, and all encoding goes by it.

Policy
- Neighbouring fields of fixed size are packed and unpacked in one go; what varies (counted octets, lists, C strings,
  tagged values, tails) is a step of its own. Integers are unsigned and big-endian.
- What we send is strict: a value that does not fit its field is Malformed, never cut. A count is written by the codec
  from what it counts; giving another is Malformed.
- What we take is lenient where operators are: text is cut at the first NUL and stripped of spaces, a tail may be short
  or missing, an unknown tag is kept under its number, a tagged value that is cut off ends the list. Nothing else raises
  but Malformed, with the field and the octet.
- Values are int, str (Latin-1, so that any octet comes back as it was), bytes, or tuples of str.
"""

from __future__ import annotations

import operator
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import Refused

Value = Any
"""int, str, bytes, or a tuple of str."""
Values = Mapping[str, Value]

FEW = 6
"""Fields that are looked up one by one sooner than all together."""
_INTEGERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Malformed(Refused):
    """A frame that is none, or a value that fits no frame."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of fixed size: `kind` is int, text or raw; `size` in octets."""

    name: str
    kind: str
    size: int
    default: Value

    @property
    def code(self) -> str:
        """Its letter for `struct`."""
        return _INTEGERS[self.size] if self.kind == "int" else f"{self.size}s"


def u8(name: str, default: int = 0) -> Field:
    return Field(name, "int", 1, default)


def u16(name: str, default: int = 0) -> Field:
    return Field(name, "int", 2, default)


def u32(name: str, default: int = 0) -> Field:
    return Field(name, "int", 4, default)


def u64(name: str, default: int = 0) -> Field:
    return Field(name, "int", 8, default)


def text(name: str, size: int, default: str = "") -> Field:
    """Left-aligned, padded with NUL."""
    return Field(name, "text", size, default)


def raw(name: str, size: int) -> Field:
    """Octets as they are."""
    return Field(name, "raw", size, bytes(size))


class Step(ABC):
    """One stretch of a frame."""

    names: tuple[str, ...] = ()
    octets: tuple[str, ...] = ()
    """Those of the names whose values are bytes."""

    @abstractmethod
    def pack(self, values: Values, out: list[bytes]) -> None:
        """Append this stretch."""

    @abstractmethod
    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        """Put what stands at `at` into values; where the next stretch begins."""


class Fixed(Step):
    """Neighbouring fields of fixed size. `counts` says which of them count another field, and in what."""

    def __init__(self, fields: Sequence[Field], counts: Mapping[str, str]) -> None:
        self.names = tuple(field.name for field in fields)
        self.octets = tuple(field.name for field in fields if field.kind == "raw")
        self._struct = struct.Struct("!" + "".join(field.code for field in fields))
        self._plan = [(field.name, _packed(field)) for field in fields]
        self._defaults = dict(self._plan)
        self._sizes = {field.name: field.size for field in fields if field.kind != "int"}
        self._counts = [(field.name, counts[field.name]) for field in fields if field.name in counts]
        self._texts = tuple(field.name for field in fields if field.kind == "text")
        self._pick = operator.itemgetter(*self.names) if len(self.names) > FEW else None

    def pack(self, values: Values, out: list[bytes]) -> None:
        try:
            out.append(self._struct.pack(*self._args(values)))
        except struct.error as error:
            raise Malformed(f"数值放不进字段：{error}", f"a value does not fit its field: {error}") from None

    def _args(self, values: Values) -> Iterable[Value]:
        """The values in order. Only those that were given are looked at: defaults fit."""
        checked = self._checked(values) if self._sizes or self._counts else {}
        if self._pick is None:
            return [checked.get(name, values.get(name, default)) for name, default in self._plan]
        picked: tuple[Value, ...] = self._pick({**self._defaults, **values, **checked})
        return picked

    def _checked(self, values: Values) -> dict[str, Value]:
        """Text as octets, and the counts."""
        found: dict[str, Value] = {}
        for name, size in self._sizes.items():
            if name in values:
                found[name] = octets = _octets(name, values[name])
                if len(octets) > size:
                    raise _too_long(name, len(octets), size)
        for name, counted in self._counts:
            found[name] = _count(name, counted, values)
        return found

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        try:
            found = self._struct.unpack_from(frame, at)
        except struct.error:
            raise _cut(self.names[0], at) from None
        values.update(zip(self.names, found))  # noqa: B905 - as many as the struct has, and this is the hot path
        for name in self._texts:
            octets = values[name]
            values[name] = as_text(octets) if octets[0] else ""
        return at + self._struct.size


class Octets(Step):
    """As many octets as the field `count` says."""

    def __init__(self, name: str, count: str, longest: int) -> None:
        self.names, self._name, self._count, self._longest = (name,), name, count, longest
        self.octets = self.names

    def pack(self, values: Values, out: list[bytes]) -> None:
        value = _octets(self._name, values.get(self._name, b""))
        if len(value) > self._longest:
            raise _too_long(self._name, len(value), self._longest)
        out.append(value)

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        end: int = at + values[self._count]
        if end > len(frame):
            raise _cut(self._name, at)
        values[self._name] = frame[at:end]
        return end


class Listed(Step):
    """As many texts of `size` octets as the field `count` says."""

    def __init__(self, name: str, size: int, count: str) -> None:
        self.names, self._name, self._size, self._count = (name,), name, size, count

    def pack(self, values: Values, out: list[bytes]) -> None:
        for one in values.get(self._name, ()):
            octets = _octets(self._name, one)
            if len(octets) > self._size:
                raise _too_long(self._name, len(octets), self._size)
            out.append(octets.ljust(self._size, b"\0"))

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        size = self._size
        end: int = at + values[self._count] * size
        if end > len(frame):
            raise _cut(self._name, at)
        values[self._name] = tuple(as_text(frame[n : n + size]) for n in range(at, end, size))
        return end


class Tail(Step):
    """Text at the very end, of which operators leave out some or all."""

    def __init__(self, name: str, size: int) -> None:
        self.names, self._name, self._size = (name,), name, size

    def pack(self, values: Values, out: list[bytes]) -> None:
        octets = _octets(self._name, values.get(self._name, b""))
        if len(octets) > self._size:
            raise _too_long(self._name, len(octets), self._size)
        out.append(octets.ljust(self._size, b"\0"))

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        octets = frame[at : at + self._size]
        values[self._name] = as_text(octets) if octets.strip(b"\0") else ""
        return at + len(octets)


class Rest(Step):
    """Octets to the end of the frame, however many."""

    def __init__(self, name: str) -> None:
        self.names = self.octets = (name,)
        self._name = name

    def pack(self, values: Values, out: list[bytes]) -> None:
        out.append(_octets(self._name, values.get(self._name, b"")))

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        values[self._name] = frame[at:]
        return len(frame)


class ByLength(Step):
    """An integer whose width another version of the protocol changed: `widths` by the length of the whole frame.

    We send `width` octets; of a frame of any other length it is taken as that wide too.
    """

    def __init__(self, name: str, width: int, widths: Mapping[int, int]) -> None:
        self.names, self._name, self._width, self._widths = (name,), name, width, widths

    def pack(self, values: Values, out: list[bytes]) -> None:
        out.append(_tagged(Field(self._name, "int", self._width, 0), values.get(self._name, 0)))

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        end = at + self._widths.get(len(frame), self._width)
        if end > len(frame):
            raise _cut(self._name, at)
        values[self._name] = int.from_bytes(frame[at:end], "big")
        return end


class CString(Step):
    """Octets up to a NUL; `longest` counts the NUL, and is kept by us alone: others send longer ones.

    `may_lack`: refusals come without it.
    """

    def __init__(self, name: str, longest: int, *, may_lack: bool = False) -> None:
        self.names, self._name, self._longest, self._may_lack = (name,), name, longest, may_lack

    def pack(self, values: Values, out: list[bytes]) -> None:
        octets = _octets(self._name, values.get(self._name, b""))
        if len(octets) >= self._longest:
            raise _too_long(self._name, len(octets), self._longest - 1)
        if 0 in octets:
            raise Malformed(f"{self._name} 里有 NUL", f"{self._name} holds a NUL")
        out.append(octets + b"\0")

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        if self._may_lack and at >= len(frame):
            values[self._name] = ""
            return at
        end = frame.find(0, at)
        if end < 0:
            raise _cut(self._name, at)
        values[self._name] = frame[at:end].decode("latin-1")
        return end + 1


class Tagged(Step):
    """Tag, length and value (u16, u16, octets), to the end of the frame; each known tag is a field of fixed kind."""

    def __init__(self, table: Mapping[int, Field]) -> None:
        self._by_tag = dict(table)
        self._by_name = {field.name: (tag, field) for tag, field in table.items()}
        self.names = tuple(self._by_name)
        self.octets = tuple(field.name for field in table.values() if field.kind == "raw")

    def pack(self, values: Values, out: list[bytes]) -> None:
        for name in values:
            known = self._by_name.get(name)
            if known is not None:
                tag, octets = known[0], _tagged(known[1], values[name])
            elif name[:2] == "0x":
                tag, octets = int(name, 16), _octets(name, values[name])
            else:
                continue
            out.append(struct.pack("!HH", tag, len(octets)) + octets)

    def unpack(self, frame: bytes, at: int, values: MutableMapping[str, Value]) -> int:
        while at + 4 <= len(frame):
            tag, size = struct.unpack_from("!HH", frame, at)
            octets = frame[at + 4 : at + 4 + size]
            if len(octets) < size:
                break
            field = self._by_tag.get(tag)
            if field is None:
                values[f"0x{tag:04X}"] = octets
            else:
                values[field.name] = _untagged(field, octets)
            at += 4 + size
        return len(frame)


def _packed(field: Field) -> Value:
    return field.default.encode("latin-1") if field.kind == "text" else field.default


def _tagged(field: Field, value: Value) -> bytes:
    if field.kind == "int":
        try:
            return int(value).to_bytes(field.size, "big")
        except (OverflowError, ValueError):
            raise Malformed(f"{field.name} 放不下 {value}", f"{field.name} does not hold {value}") from None
    octets = _octets(field.name, value)
    return octets + b"\0" if field.kind == "cstring" else octets


def _untagged(field: Field, octets: bytes) -> Value:
    """An integer of whatever width it came in; text without its padding."""
    if field.kind == "int":
        return int.from_bytes(octets, "big")
    return octets if field.kind == "raw" else as_text(octets)


def cstring_tag(name: str) -> Field:
    """A tagged C string."""
    return Field(name, "cstring", 0, "")


def octets_tag(name: str) -> Field:
    """Tagged octets of any length."""
    return Field(name, "raw", 0, b"")


class Layout:
    """A kind of frame: its name, its command, its fields after the header in order."""

    def __init__(self, name: str, command: int, *fields: Field | Step) -> None:
        self.name, self.command = name, command
        self.steps = _steps(fields)
        self._tagged = any(isinstance(step, Tagged) for step in self.steps)
        self.octets = frozenset(name for step in self.steps for name in step.octets)
        """Names of the fields whose values are bytes."""
        self.known = frozenset(name for step in self.steps for name in step.names)

    def pack(self, values: Values) -> bytes:
        """The frame after its header; Malformed says which field does not fit."""
        out: list[bytes] = []
        for step in self.steps:
            step.pack(values, out)
        return b"".join(out)

    def unpack(self, frame: bytes, at: int) -> dict[str, Value]:
        """The fields of a frame whose header ends at `at`; what stands behind the last one is passed over."""
        values: dict[str, Value] = {}
        for step in self.steps:
            at = step.unpack(frame, at, values)
        return values

    def takes(self, name: str) -> bool:
        """Whether the frame has a field of this name."""
        return name in self.known or (self._tagged and name.startswith("0x"))


def _steps(fields: Sequence[Field | Step]) -> list[Step]:
    counts = {step._count: step.names[0] for step in fields if isinstance(step, Octets | Listed)}
    steps: list[Step] = []
    run: list[Field] = []
    for field in fields:
        if isinstance(field, Field):
            run.append(field)
            continue
        if run:
            steps.append(Fixed(run, counts))
        steps.append(field)
        run = []
    return [*steps, Fixed(run, counts)] if run else steps


def as_text(octets: bytes) -> str:
    """Up to the first NUL, without spaces around it."""
    text = octets.rstrip(b"\0 ").decode("latin-1")
    return text.partition("\0")[0].strip(" ") if "\0" in text else text.lstrip(" ")


def _count(name: str, counted: str, values: Values) -> int:
    count = len(values.get(counted, ()))
    if values.get(name, count) != count:
        raise Malformed(f"{name} 与 {counted} 的长度不符", f"{name} does not count {counted}")
    return count


def _octets(name: str, value: Value) -> bytes:
    if value.__class__ is bytes:
        return value
    try:
        return str(value).encode("latin-1")
    except UnicodeEncodeError:
        raise Malformed(f"{name} 里有不能发的字符", f"{name} holds a character that has no octet") from None


def _too_long(name: str, length: int, most: int) -> Malformed:
    return Malformed(f"{name} 长 {length}，最多 {most}", f"{name} has {length} octets, at most {most}")


def _cut(name: str, at: int) -> Malformed:
    return Malformed(f"在第 {at} 个八位组断了，还差 {name}", f"cut off at octet {at}, where {name} begins")
