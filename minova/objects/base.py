# SPDX-License-Identifier: Apache-2.0
"""The base class of every versioned object."""

from collections.abc import Mapping
from typing import Any
from typing import cast
from typing import Self
from typing import TypeVar

from oslo_versionedobjects import base

T = TypeVar('T', bound=type)


class Object(base.VersionedObject, base.ComparableVersionedObject):
    """A versioned object; the constructor sets every field.

    ``fields`` is checked at run time and encoded; the annotations beside it
    are for readers and the type checker. No field may be called ``context``:
    the library's constructor reserves that keyword.
    """

    OBJ_SERIAL_NAMESPACE = 'minova_object'
    OBJ_PROJECT_NAMESPACE = 'minova'

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
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
        """Return the object whose ``to_wire`` is ``primitive``."""
        return cls.obj_from_primitive(primitive)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, without encoding their values."""
        return {name: getattr(self, name) for name in self.fields}


def register(cls: T) -> T:
    """Register a class, so that ``from_wire`` can find it by its name."""
    return cast(T, base.VersionedObjectRegistry.register(cls))
