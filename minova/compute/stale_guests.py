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
    """Destroy the guests of evacuated instances, with their disks.

    A guest whose evacuation has not ended is powered off and keeps them.

    Raises Unavailable without a conductor, GuestFailed of the hypervisor.
    """
    found = conductor.evacuated_instances(get_admin_context(), host=host)
    for uuid, removes_disks in found.items():
        LOG.warning(
            'Guest %s on %s: another host has it now; %s',
            uuid,
            host,
            'removing the guest and its disks'
            if removes_disks
            else 'powering it off',
        )
        if removes_disks:
            driver.destroy(uuid)
            driver.remove_disks(uuid)
            driver.discard_disks(uuid)
        elif driver.guest(uuid) is not None:
            # This host gets the instance back if the evacuation fails.
            driver.power_off(uuid)
