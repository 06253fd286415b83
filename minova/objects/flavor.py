# SPDX-License-Identifier: Apache-2.0
"""The flavor: the size of an instance."""

from typing import Any

from minova.objects import base


@base.register
class Flavor(base.Object):
    """A size of instances.

    An instance keeps a copy of the flavor it was made or resized with: a
    later change of the flavor, or its deletion, does not change the copy.
    """

    VERSION = '1.0'

    id: int
    flavorid: str
    name: str
    description: str | None
    vcpus: int
    memory_mb: int
    root_gb: int
    ephemeral_gb: int
    swap_mb: int
    rxtx_factor: float
    is_public: bool
    disabled: bool
    extra_specs: dict[str, str]
    #: The GiB that the image needs, in an instance's copy of a flavor without
    #: a root disk.
    image_gb: int = 0

    @property
    def max_root_gb(self) -> int:
        """The size of the root disk, also with a flavor without one."""
        return self.root_gb or self.image_gb

    @property
    def disk_gb(self) -> int:
        """Root and ephemeral disk and swap, rounded up to whole GiB."""
        swap_gb = -(-self.swap_mb // 1024)
        return self.max_root_gb + self.ephemeral_gb + swap_gb

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'Flavor':
        """Return the flavor that ``as_dict`` turned into ``values``."""
        return cls(**values)
