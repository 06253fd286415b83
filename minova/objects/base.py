# SPDX-License-Identifier: Apache-2.0
"""The base of every object that travels."""

from collections.abc import Mapping
from typing import Any
from typing import cast
from typing import Self
from typing import TypeVar

from oslo_versionedobjects import base

T = TypeVar('T', bound=type)


class Object(base.VersionedObject, base.ComparableVersionedObject):
    """A versioned object; every field is set when it is made.

    The annotations beside ``fields`` are for readers and the type checker;
    ``fields`` is what is checked and sent. No field may be called
    ``context``: the library's constructor takes that for itself.
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

        These name the objects in it, too; one that they do not name is sent
        as 1.0.
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
        """Return the object that ``to_wire`` turned into ``primitive``."""
        return cls.obj_from_primitive(primitive)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as they are, by name."""
        return {name: getattr(self, name) for name in self.fields}


def register(cls: T) -> T:
    """Make a class known to whoever unpacks messages."""
    return cast(T, base.VersionedObjectRegistry.register(cls))
