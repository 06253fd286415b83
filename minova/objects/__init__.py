# SPDX-License-Identifier: Apache-2.0
"""The versioned objects that services exchange and the database stores.

A test pins the fingerprint of each class to its version. Importing the
package registers every class, so that each wire form can be decoded.

================= ============================================================
module            what it holds
================= ============================================================
base              the base class, and ``register``
fields            the field types, made from annotations
flavor            Flavor
instance          Instance; InstanceState: its extract for power_sync
request_spec      RequestSpec: what a user asked of the hosts of an instance
migration         Migration: the record of a resize or a migration
diagnostics       what a hypervisor counts of a guest, for users
host              the reports of a compute: of its host, guests and artifacts
operation         Operation and Step as the database holds them; not versioned
operation_params  the parameters of operations, a class for each kind
step_args         the arguments of steps, a class for each step
step_results      the results of steps, a class for each step
checkpoints       the checkpoints of steps, with the facts they save
step              the messages of a conductor and a compute about a step
live_migrate_data the messages of the hosts of a live migration
transfer_ticket   TransferTicket: the permission to send disks
audit_period      AuditPeriod: a period of usage audits; not versioned
snapshot_image    SnapshotImage: the image that a snapshot becomes
================= ============================================================
"""

from minova.objects import diagnostics
from minova.objects import flavor
from minova.objects import host
from minova.objects import instance
from minova.objects import live_migrate_data
from minova.objects import migration
from minova.objects import request_spec
from minova.objects import step
from minova.objects import transfer_ticket

StepAck = step.StepAck
CpuDiagnostics = diagnostics.CpuDiagnostics
DestCheckData = live_migrate_data.DestCheckData
Diagnostics = diagnostics.Diagnostics
DiskDiagnostics = diagnostics.DiskDiagnostics
DueStep = step.DueStep
Flavor = flavor.Flavor
GuestReport = host.GuestReport
HostArtifact = host.HostArtifact
HostReport = host.HostReport
Instance = instance.Instance
InstanceState = instance.InstanceState
LiveMigrateData = live_migrate_data.LiveMigrateData
LiveMigrateSource = live_migrate_data.LiveMigrateSource
MigrateDisk = live_migrate_data.MigrateDisk
Migration = migration.Migration
NicDiagnostics = diagnostics.NicDiagnostics
QemuDestination = live_migrate_data.QemuDestination
QemuMigrateData = live_migrate_data.QemuMigrateData
RequestSpec = request_spec.RequestSpec
StepAssignment = step.StepAssignment
StorageProbe = live_migrate_data.StorageProbe
TransferEndpoint = transfer_ticket.TransferEndpoint
TransferTicket = transfer_ticket.TransferTicket
Wakeup = step.Wakeup

__all__ = [
    'CpuDiagnostics',
    'DestCheckData',
    'Diagnostics',
    'DiskDiagnostics',
    'DueStep',
    'Flavor',
    'GuestReport',
    'HostArtifact',
    'HostReport',
    'Instance',
    'InstanceState',
    'LiveMigrateData',
    'LiveMigrateSource',
    'MigrateDisk',
    'Migration',
    'NicDiagnostics',
    'QemuDestination',
    'QemuMigrateData',
    'RequestSpec',
    'StepAck',
    'StepAssignment',
    'StorageProbe',
    'TransferEndpoint',
    'TransferTicket',
    'Wakeup',
]
