# SPDX-License-Identifier: Apache-2.0
"""What travels between services, each with a version that a test pins.

Importing the package registers every class, so that whatever arrives can be
built anew.
"""

from minova.objects import flavor
from minova.objects import host
from minova.objects import instance
from minova.objects import migration
from minova.objects import step

Answer = step.Answer
Duty = step.Duty
Flavor = flavor.Flavor
GuestReport = host.GuestReport
Holding = host.Holding
HostReport = host.HostReport
Instance = instance.Instance
InstanceState = instance.InstanceState
Migration = migration.Migration
Ticket = step.Ticket
Wake = step.Wake

__all__ = [
    'Answer',
    'Duty',
    'Flavor',
    'GuestReport',
    'Holding',
    'HostReport',
    'Instance',
    'InstanceState',
    'Migration',
    'Ticket',
    'Wake',
]
