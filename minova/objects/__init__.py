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
