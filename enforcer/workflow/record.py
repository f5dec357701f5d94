"""The base of every value class: frozen, slotted, compared by content, and readable as JSON.

`dataclasses` would do this as well, but importing it costs more than the whole budget of a guard call (see
`docs/decisions/0002-records.md`), so the base is written here, in terms that a type checker still understands.

A class that derives from `Record` declares its fields as annotations, in order, with defaults where it has any:

    class Lease(Record):
        holder: str
        token: int
        released: bool = False

Fields whose values are records themselves are named so that `unpack` can rebuild them: in `nested` where the value is
one record or a tuple of them, in `nested_maps` where it maps names to such values.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


_PLAIN = frozenset({str, int, bool, type(None)})

_SCALARS: dict[str, type] = {"str": str, "int": int, "bool": bool}

_KINDS: dict[str, type] = {
    "str": str,
    "int": int,
    "bool": bool,
    "bytes": bytes,
    "tuple": tuple,
    "Mapping": dict,
    "None": type(None),
}


class _RecordType(type):
    """Turns the annotations of a class body into slots; they must be known before the class exists."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], *, kw_only: bool = False
    ) -> _RecordType:  # `kw_only` speaks to the type checker alone: every field may be given by name

        annotations = body.get("__annotations__", {})
        own = [field for field, kind in annotations.items() if not str(kind).startswith("ClassVar")]
        inherited = [base for base in bases if isinstance(base, _RecordType)]
        fields = tuple(field for base in inherited for field in base.fields) + tuple(own)
        defaults = {field: value for base in inherited for field, value in base.defaults.items()}
        defaults |= {field: body.pop(field) for field in own if field in body}
        written = {field: kind for base in inherited for field, kind in base.written.items()}
        written |= {field: annotations[field] for field in own}
        body.update(__slots__=tuple(own), fields=fields, known=frozenset(fields), defaults=defaults)
        scalars = {field: _SCALARS[kind] for field, kind in written.items() if kind in _SCALARS}
        body.update(written=written, scalars=scalars, kinds={}, values=_reader(fields), draft=None)
        made = super().__new__(mcs, name, bases, body)
        # The slots themselves take values although `__setattr__` refuses them, and faster than by name.
        made.setters = {field: getattr(made, field).__set__ for field in fields}
        made.puts = tuple(made.setters.values())
        made.places = {field: place for place, field in enumerate(fields)}
        return made

    fields: tuple[str, ...]
    known: frozenset[str]
    defaults: dict[str, Any]
    written: dict[str, str]
    scalars: dict[str, type]
    setters: dict[str, Callable[[Any, Any], None]]
    puts: tuple[Callable[[Any, Any], None], ...]
    places: dict[str, int]
    values: Callable[[Any], tuple[Any, ...]]
    kinds: dict[str, tuple[frozenset[type], frozenset[type]]]
    draft: Callable[[Any], Any] | None  # What copies a value into one whose fields can be set; see `ledger.drafts`.


def _reader(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of a record at once; `attrgetter` does so many times faster than a loop, from two on."""
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda record: tuple(getattr(record, field) for field in fields)


def _kinds(annotation: str) -> tuple[frozenset[type], frozenset[type]]:
    """The types that an annotation admits, and those of the items where it is a tuple or a mapping; empty for any."""
    outer, _, inner = annotation.partition("[")
    if outer == "Mapping":
        value = inner.partition(",")[2].strip().removesuffix("]")
        return frozenset({dict}), frozenset({tuple}) if value.startswith("tuple[") else _simple(value)
    names = [name.strip() for name in f"{outer}{inner.partition(']')[2]}".split("|")]
    known = frozenset(_KINDS[name] for name in names) if all(name in _KINDS for name in names) else frozenset[type]()
    return known, _simple(inner.partition("]")[0].partition(",")[0])


def _simple(name: str) -> frozenset[type]:
    return frozenset({_KINDS[name]}) if name in ("str", "int") else frozenset()


class UnknownField(ValueError):
    """A member that a record of this release does not have. A later release may have written it."""


@dataclass_transform(frozen_default=True)
class Record(metaclass=_RecordType):
    """An immutable value. Equal when of one class with equal fields."""

    nested: ClassVar[Mapping[str, type[Record]]] = {}
    nested_maps: ClassVar[Mapping[str, type[Record]]] = {}

    def __init__(self, *args: Any, **named: Any) -> None:
        # Written for speed: a gate call makes some fifteen records.
        cls = type(self)
        if not named and len(args) == len(cls.fields):
            for put, value in zip(cls.puts, args, strict=True):
                put(self, value)
            return
        values = {**cls.defaults, **named}
        if args:
            if len(args) > len(cls.fields):
                raise TypeError(f"{cls.__name__} takes {len(cls.fields)} fields, not {len(args)}")
            for field, value in zip(cls.fields, args, strict=False):
                if field in named:
                    raise TypeError(f"{cls.__name__} was given {field} twice")
                values[field] = value
        if len(values) != len(cls.fields) or not cls.known.issuperset(values):
            raise TypeError(_misfit(cls, values))
        setters = cls.setters
        for field, value in values.items():
            setters[field](self, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return type(self).values(self) == type(self).values(other)

    def __hash__(self) -> int:
        return hash((type(self), *type(self).values(self)))

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), type(self).values(self)

    def __repr__(self) -> str:
        inside = ", ".join(f"{field}={getattr(self, field)!r}" for field in type(self).fields)
        return f"{type(self).__name__}({inside})"

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed."""
        cls = type(self)
        if cls.draft is not None:
            return self._redrafted(cls.draft(self), changes)
        values, places = list(cls.values(self)), cls.places
        try:
            for field in changes:
                values[places[field]] = changes[field]
        except KeyError:
            raise TypeError(_misfit(cls, dict.fromkeys(cls.fields) | changes)) from None
        changed = cls.__new__(cls)
        for put, value in zip(cls.puts, values, strict=True):
            put(changed, value)
        return changed

    def _redrafted(self, draft: Any, changes: dict[str, Any]) -> Self:
        cls = type(self)
        try:
            for field, value in changes.items():
                setattr(draft, field, value)
        except AttributeError:
            raise TypeError(_misfit(cls, dict.fromkeys(cls.fields) | changes)) from None
        draft.__class__ = cls
        redrafted: Self = draft
        return redrafted

    def pack(self, *, complete: bool = False) -> dict[str, Any]:
        """The value as JSON: an object with a member a field; fields that hold their default only where `complete`."""
        cls = type(self)
        defaults = cls.defaults
        packed = {}
        for field, value in zip(cls.fields, cls.values(self), strict=True):
            if not complete and field in defaults and value == defaults[field]:
                continue
            packed[field] = value if type(value) in _PLAIN else _pack(value, complete)
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Self:
        """The inverse of `pack`. Raises `ValueError` on unknown or missing fields and on values of another kind."""
        if not isinstance(packed, dict):
            raise ValueError(f"{cls.__name__} is not an object")
        values = {**cls.defaults, **packed}
        if len(values) != len(cls.fields) or not cls.known.issuperset(packed):
            unknown = packed.keys() - cls.known
            raise UnknownField(_misfit(cls, values)) if unknown else ValueError(_misfit(cls, values))
        scalars = cls.scalars
        for field, value in packed.items():
            # Most fields are a text or a number, and are what they must be: this is read for every line of a ledger.
            if field not in scalars or type(value) is not scalars[field]:
                values[field] = cls._unpack_checked(field, value)
        self, setters = cls.__new__(cls), cls.setters
        for field, value in values.items():
            setters[field](self, value)
        return self

    @classmethod
    def _unpack_checked(cls, field: str, packed: Any) -> Any:
        value = cls._unpack_field(field, packed)
        kinds, items = cls.kinds.get(field) or _learn(cls, field)
        if kinds and type(value) not in kinds:
            raise ValueError(f"{cls.__name__}.{field} is of another kind")
        if items and value and not {type(item) for item in _items(value)} <= items:
            raise ValueError(f"{cls.__name__}.{field} holds items of another kind")
        return value

    @classmethod
    def _unpack_field(cls, field: str, value: Any) -> Any:
        kinds, items = cls.kinds.get(field) or _learn(cls, field)
        inner = cls.nested_maps.get(field)
        if inner is not None or (dict in kinds and tuple in items):
            if not isinstance(value, dict):
                raise ValueError(f"{cls.__name__}.{field} is not an object")
            if tuple in items:
                return {key: cls._unpack_items(field, item, inner) for key, item in value.items()}
            return {key: inner.unpack(item) for key, item in value.items()} if inner is not None else value
        kind = cls.nested.get(field)
        if kind is None:
            return _unpack(value, None)
        if not cls.written[field].startswith("tuple"):
            return None if value is None and field in cls.defaults else kind.unpack(value)
        return cls._unpack_items(field, value, kind)

    @classmethod
    def _unpack_items(cls, field: str, value: Any, kind: type[Record] | None) -> tuple[Any, ...]:
        """An array of records, or of texts or numbers where there is no record to make of them."""
        if not isinstance(value, list):
            raise ValueError(f"{cls.__name__}.{field} is not an array")
        if kind is not None:
            return tuple(kind.unpack(item) for item in value)
        wanted = int if "tuple[int" in cls.written[field] else str
        if not all(type(item) is wanted for item in value):
            raise ValueError(f"{cls.__name__}.{field} holds items of another kind")
        return tuple(value)


def _pack(value: Any, complete: bool) -> Any:
    if isinstance(value, Record):
        return value.pack(complete=complete)
    if isinstance(value, (tuple, list)):
        return [_pack(item, complete) for item in value]
    if isinstance(value, dict):
        return {key: _pack(item, complete) for key, item in value.items()}
    return value


def _learn(cls: type[Record], field: str) -> tuple[frozenset[type], frozenset[type]]:
    """What a field admits, worked out when the first one is read: most classes of a run are never read from JSON."""
    kinds = cls.kinds[field] = _kinds(cls.written[field])
    return kinds


def _misfit(cls: type[Record], values: dict[str, Any]) -> str:
    unknown = ", ".join(sorted(values.keys() - cls.known))
    missing = ", ".join(field for field in cls.fields if field not in values)
    return f"{cls.__name__} has no field {unknown}" if unknown else f"{cls.__name__} needs {missing}"


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()


def _unpack(value: Any, kind: type[Record] | None) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(item, kind) for item in value)
    return value if kind is None or value is None else kind.unpack(value)
