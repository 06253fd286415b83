# SPDX-License-Identifier: Apache-2.0
"""The versioned objects that services exchange and the database stores.

A test pins the fingerprint of each class to its version. Importing the
package registers every class, so that each wire form can be decoded.

========= ====================================================================
module    what it holds
========= ====================================================================
base      the base class, and ``register``
fields    the field types
flavor    Flavor
instance  Instance; InstanceState, its extract for power synchronization
migration Migration: the record of a resize or a migration
host      the reports of a compute: HostReport, GuestReport, HostArtifact
operation Operation and Step, as the database holds them (no versioned object)
step      what conductor and compute exchange about a step
========= ====================================================================
"""

from minova.objects import flavor
from minova.objects import host
from minova.objects import instance
from minova.objects import migration
from minova.objects import step

StepResult = step.StepResult
DueStep = step.DueStep
Flavor = flavor.Flavor
GuestReport = host.GuestReport
HostArtifact = host.HostArtifact
HostReport = host.HostReport
Instance = instance.Instance
InstanceState = instance.InstanceState
Migration = migration.Migration
StepAssignment = step.StepAssignment
Wakeup = step.Wakeup

__all__ = [
    'DueStep',
    'Flavor',
    'GuestReport',
    'HostArtifact',
    'HostReport',
    'Instance',
    'InstanceState',
    'Migration',
    'StepAssignment',
    'StepResult',
    'Wakeup',
]
