# SPDX-License-Identifier: Apache-2.0
"""Whether a step may have changed its guest.

The runner reports it with the failure of a step. The undo of a step that did
not touch its guest leaves the guest alone, so it also succeeds while the
hypervisor does not answer.
"""

from collections.abc import Callable
import functools
from typing import Any
from typing import cast
from typing import Final

from minova import exception
from minova.virt.driver import Driver

#: The calls that leave a guest and its existing disks as they are: they read,
#: or they create files that the undo of the step removes.
_HARMLESS: Final = frozenset(
    {
        'check_can_live_migrate_destination',
        'check_can_live_migrate_source',
        'check_can_send_disks',
        'check_health',
        'check_serial_console',
        'commit_received_disks',
        'console_output',
        'create_disks',
        'create_rescue_disk',
        'diagnostics',
        'find_snapshot',
        'graphics',
        'guest',
        'guests',
        'has_disks',
        'has_managed_save',
        'has_retained_disks',
        'has_shared_disks',
        'images_in_use',
        'interfaces',
        'inventory',
        'list_host_contents',
        'migration_status',
        'prepare_disk_transfer',
        'refresh_config_drive',
        'remove_snapshot',
        'take_snapshot',
        'uses_images',
    }
)


class ChangeTracker:
    """A driver of one step, which notes the first change of the guest."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.has_changed_guest = False

    @classmethod
    def of(cls, driver: Driver) -> 'tuple[Driver, ChangeTracker]':
        """Return the driver that a step uses, and what it notes."""
        tracker = cls(driver)
        return cast(Driver, tracker), tracker

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._driver, name)
        if name in _HARMLESS:
            return method
        return functools.partial(self._change, method)

    def _change(
        self, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        before, self.has_changed_guest = self.has_changed_guest, True
        try:
            return method(*args, **kwargs)
        except exception.HypervisorUnavailable:
            # The call did not reach the hypervisor.
            self.has_changed_guest = before
            raise
