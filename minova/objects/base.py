# SPDX-License-Identifier: Apache-2.0
"""The base class of every versioned object."""

from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from typing import dataclass_transform
from typing import Self
from typing import TypeVar

from oslo_versionedobjects import base

from minova.objects import fields

ObjectT = TypeVar('ObjectT', bound='type[Object]')


@dataclass_transform(kw_only_default=True)
class Object(base.VersionedObject, base.ComparableVersionedObject):
    """A versioned object; the constructor sets every field.

    The annotations of a class are its fields, which ``register`` makes, and
    the keywords of its constructor. No field may be called ``context``: the
    library's constructor reserves that keyword.
    """

    OBJ_SERIAL_NAMESPACE = 'minova_object'
    OBJ_PROJECT_NAMESPACE = 'minova'

    #: The values of the fields that the caller of the constructor may omit.
    defaults: ClassVar[Mapping[str, Any]] = {}

    #: The names of the fields whose value is an object.
    object_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **values: Any) -> None:
        super().__init__(**{**self.defaults, **values})
        self.obj_reset_changes()

    def to_wire(
        self, versions: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON form, at the ``versions`` of objects if given.

        ``versions`` also applies to the objects inside this one; an object
        that it does not name is encoded as 1.0.
        """
        if versions is None:
            return self.obj_to_primitive()
        known = base.VersionedObjectRegistry.obj_classes()
        every = dict.fromkeys(known, '1.0') | dict(versions)
        return self.obj_to_primitive(
            target_version=every[self.obj_name()], version_manifest=every
        )

    @classmethod
    def from_wire(cls, primitive: dict[str, Any]) -> Self:
        """Return the object whose ``to_wire`` is ``primitive``.

        Raises TypeError when it is not an object of this class.
        """
        return cls.narrow(cls.obj_from_primitive(primitive))

    @classmethod
    def narrow(cls, value: object) -> Self:
        """Return ``value``; raises TypeError unless it is of this class."""
        if not isinstance(value, cls):
            raise TypeError(f'{value!r} is not a {cls.__name__}')
        return value

    def obj_what_changed(self) -> set[str]:
        """Return the fields that were set after the constructor.

        The library looks for objects in every field, twice for each message.
        """
        changes = set(self._changed_fields)
        for name in self.object_fields:
            value = getattr(self, name)
            if value is not None and value.obj_what_changed():
                changes.add(name)
        return changes

    def replace(self, **changes: object) -> Self:
        """Return a copy with other values in some fields."""
        return type(self)(**{**self.as_dict(), **changes})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, without encoding their values."""
        return {name: getattr(self, name) for name in self.fields}


def register(cls: ObjectT) -> ObjectT:
    """Make the fields of a class; ``from_wire`` finds it by its name."""
    cls.fields = fields.from_annotations(cls)
    cls.defaults = {
        **cls.defaults,
        **{name: vars(cls)[name] for name in cls.fields if name in vars(cls)},
    }
    base.VersionedObjectRegistry.register(cls)
    # The registry has added the fields of the base classes.
    cls.object_fields = fields.names_of_objects(cls.fields)
    return cls
