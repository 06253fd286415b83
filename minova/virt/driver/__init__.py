# SPDX-License-Identifier: Apache-2.0
"""The interface of hypervisor drivers.

============== ===============================================================
module         what it holds
============== ===============================================================
host           the host: its inventory, its health and its events
guests         the guests: their definition and their power
interfaces     the network interfaces of guests, while they run too
disks          the disks of guests, and their transfer to another host
snapshots      copies of the disks of guests, for images
live_migration the live migration of guests
consoles       the consoles of guests
diagnostics    the diagnostics of guests
guest_agent    the requests that the agent in a guest answers
host_contents  the contents of the host, for the audit
============== ===============================================================

The same contract tests run with every driver. A caller may repeat every
method after an interruption. Methods raise GuestFailed, DiskFailed or
GuestMigrationFailed with the hypervisor's message, and HypervisorUnavailable
when they changed nothing because the hypervisor could not be reached.
"""

from typing import Protocol

# Wildcards, because a list of names would name each class a second time.
from minova.virt.driver.consoles import *  # noqa: F403,H303
from minova.virt.driver.consoles import ConsoleInterface
from minova.virt.driver.diagnostics import *  # noqa: F403,H303
from minova.virt.driver.diagnostics import DiagnosticsInterface
from minova.virt.driver.disks import *  # noqa: F403,H303
from minova.virt.driver.disks import DiskInterface
from minova.virt.driver.guest_agent import *  # noqa: F403,H303
from minova.virt.driver.guest_agent import GuestAgentInterface
from minova.virt.driver.guests import *  # noqa: F403,H303
from minova.virt.driver.guests import GuestInterface
from minova.virt.driver.host import *  # noqa: F403,H303
from minova.virt.driver.host import HostInterface
from minova.virt.driver.host_contents import *  # noqa: F403,H303
from minova.virt.driver.host_contents import HostContentsInterface
from minova.virt.driver.interfaces import *  # noqa: F403,H303
from minova.virt.driver.interfaces import NicInterface
from minova.virt.driver.live_migration import *  # noqa: F403,H303
from minova.virt.driver.live_migration import LiveMigrationInterface
from minova.virt.driver.snapshots import *  # noqa: F403,H303
from minova.virt.driver.snapshots import SnapshotInterface


class Driver(
    HostInterface,
    GuestInterface,
    NicInterface,
    DiskInterface,
    SnapshotInterface,
    LiveMigrationInterface,
    ConsoleInterface,
    DiagnosticsInterface,
    GuestAgentInterface,
    HostContentsInterface,
    Protocol,
):
    """A hypervisor driver."""
