# SPDX-License-Identifier: Apache-2.0
"""Guests that another host has taken over while this host was down.

A compute removes them before it registers, so that it does nothing else
before: a conductor gives steps and servers to registered computes only.
"""

from oslo_log import log as logging

from minova.context import get_admin_context
from minova.rpc.conductor import Conductor
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)


def remove(host: str, driver: Driver, conductor: Conductor) -> None:
    """Destroy the guests of evacuated instances, and disks not needed.

    Raises Unavailable without a conductor, GuestFailed of the hypervisor.
    """
    found = conductor.evacuated_instances(get_admin_context(), host=host)
    for uuid, removes_disks in found.items():
        LOG.warning(
            'Guest %s on %s: another host has it now; removing the guest%s',
            uuid,
            host,
            ' and its disks' if removes_disks else '',
        )
        driver.destroy(uuid)
        if removes_disks:
            driver.remove_disks(uuid)
            driver.discard_disks(uuid)
