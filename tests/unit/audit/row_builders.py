# SPDX-License-Identifier: Apache-2.0
"""Build the rows and host contents of a cloud without faults."""

import dataclasses
import datetime

from minova.db.queries import audit_snapshot
from minova.db.queries import hosts
from minova.db.queries import ports
from minova.images import Image
from minova.objects.flavor import Flavor
from minova.objects.host import HostArtifact
from minova.objects.migration import Migration
from minova.objects.operation import Operation
from minova.objects.operation import Step
from minova.objects.operation_params import NoParams
from minova.objects.step_args import NoArgs
from minova.rpc.named_queue import QueueStats

NOW = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
RUNNING, PAUSED, OFF = 1, 3, 4


def ago(**span):
    return NOW - datetime.timedelta(**span)


def flavor(vcpus=1):
    return Flavor(
        id=1,
        flavorid='small',
        name='small',
        description=None,
        vcpus=vcpus,
        memory_mb=512,
        root_gb=1,
        ephemeral_gb=0,
        swap_mb=0,
        rxtx_factor=1.0,
        is_public=True,
        disabled=False,
        extra_specs={},
    )


def instance(uuid, **values):
    made = {
        'uuid': uuid,
        'host': 'a',
        'vm_state': 'active',
        'task_state': None,
        'task_id': None,
        'generation': 1,
        'power_state': RUNNING,
        'notification_seq': 9,
        'launched_at': ago(days=1),
        'deleted_at': None,
        'shelved_image_id': None,
        'flavor': flavor(),
        'network_info': [],
    }
    return audit_snapshot.InstanceRow(**(made | values))


def operation(number, uuid, **values):
    made = {
        'id': number,
        'instance_uuid': uuid,
        'kind': 'pause',
        'generation': 1,
        'state': 'running',
        'owns_instance': True,
        'outcome': None,
        'unwinding': False,
        'old_vm_state': 'active',
        'open_step_count': 1,
        'request_id': 'req',
        'user_id': None,
        'project_id': None,
        'context': {},
        'params': NoParams(),
        'error': None,
        'wait_reason': None,
        'waiting_since': None,
        'incidents': 0,
        'deadline': NOW + datetime.timedelta(minutes=5),
        'started_at': ago(minutes=1),
        'updated_at': ago(minutes=1),
        'finished_at': None,
    }
    return Operation(**(made | values))


def step(number, operation_id, uuid, host, **values):
    made = {
        'id': number,
        'operation_id': operation_id,
        'instance_uuid': uuid,
        'number': 1,
        'method': 'pause_instance',
        'topic': 'compute',
        'host': host,
        'args': NoArgs(),
        'state': 'pending',
        'undoes': None,
        'nested': False,
        'detached': False,
        'incarnation': None,
        'checkpoints': [],
        'open_events': [],
        'attempts': 0,
        'result': None,
        'error': None,
        'not_before': None,
        'created_at': ago(minutes=1),
        'started_at': None,
        'finished_at': None,
    }
    return Step(**(made | values))


def migration(number, operation_id, uuid, status, **values):
    made = dict.fromkeys(Migration.fields) | {
        'id': number,
        'uuid': f'migration-{number}',
        'instance_uuid': uuid,
        'operation_id': operation_id,
        'kind': 'resize',
        'status': status,
        'old_vm_state': 'active',
        'source_host': 'a',
        'source_node': 'a',
        'dest_host': 'b',
        'old_flavor': flavor(),
        'new_flavor': flavor(2),
    }
    return Migration(**(made | values))


def artifact(uuid, **values):
    made = {
        'uuid': uuid,
        'power_state': RUNNING,
        'is_incoming': False,
        'operation': 'operation',
        'generation': 1,
        'has_disks': True,
        'has_retained_disks': False,
        'has_snapshots': False,
        'has_partial_disks': False,
        'has_config_drive': False,
        'has_reserved_addresses': False,
    }
    return HostArtifact(**(made | values))


def empty_contents(uuid, **values):
    """Return what a host has of an instance without a guest."""
    none = {'power_state': None, 'generation': None, 'operation': None}
    return artifact(uuid, **(none | {'has_disks': False} | values))


def outbox_summary(**values):
    made = {
        'rows': 9,
        'first': 1,
        'last': 9,
        'last_published': 9,
        'first_unpublished': None,
        'oldest_unpublished_at': None,
    }
    return audit_snapshot.OutboxSummary(**(made | values))


def service(host, binary='nova-compute', **values):
    made = {
        'id': 1,
        'uuid': f'service-{binary}-{host}',
        'binary': binary,
        'host': host,
        'incarnation': 'start',
        'version': '1',
        'disabled': False,
        'disabled_reason': None,
        'forced_down': False,
        'hypervisor_error': None,
        'fenced_at': None,
        'fence_agent': None,
        'fence_output': None,
        'started_at': ago(days=1),
        'last_seen_at': ago(seconds=1),
        'heartbeat_age': 1.0,
    }
    return hosts.Service(**(made | values))


def image(number, uuid, **values):
    """Return an image of a snapshot of an instance, without data."""
    made = dict.fromkeys(Image.__dataclass_fields__) | {
        'id': number,
        'name': 'copy',
        'status': 'queued',
        'properties': {'image_location': 'snapshot', 'instance_uuid': uuid},
        'created_at': ago(days=1),
    }
    return Image(**(made | values))


class Rows:
    """A cloud of two hosts, to which a test adds rows and faults."""

    def __init__(self):
        self.instances = {}
        self.operations = {}
        self.steps = []
        self.migrations = []
        self.allocations = []
        self.host_usage = {}
        self.nodes = {'a': 'node-a', 'b': 'node-b'}
        self.services = [service('a'), service('b')]
        self.services.append(service('c1', 'nova-conductor'))
        self.outbox = {}
        self.unfinished_events = []
        self.ports = []
        self.host_contents = {'a': [], 'b': []}
        self.unchecked_hosts = {}
        self.images = []
        self.queues = {
            name: QueueStats(messages=0, consumers=1)
            for name in ('compute.a', 'compute.b', 'conductor.c1')
        }

    # -- building ------------------------------------------------------------

    def add(self, uuid, allocated=True, **values):
        """Add an instance, with an allocation on its host."""
        row = self.instances[uuid] = instance(uuid, **values)
        self.outbox[uuid] = outbox_summary()
        if allocated and row.host is not None:
            self.allocate(uuid, row.host, uuid, row.flavor.vcpus)
        return row

    def begin(self, number, uuid, *hosts_, **values):
        """Add a running operation with a pending step on each host."""
        self.operations[number] = operation(
            number, uuid, **({'open_step_count': len(hosts_)} | values)
        )
        for host in hosts_:
            name = f'step-{number}-{host}'
            self.steps.append(step(name, number, uuid, host))

    def allocate(self, uuid, host, consumer, vcpus=1):
        self.allocations.append(
            audit_snapshot.Allocation(
                len(self.allocations), host, uuid, consumer, vcpus, 512, 1
            )
        )

    def plug(self, uuid, address):
        """Give an instance a NIC; return the port without adding its row."""
        number = f'port-{address}'
        mac = f'fa:16:3e:00:00:{len(self.ports):02x}'
        nic = {
            'id': number,
            'mac': mac,
            'label': 'private',
            'network_id': 'network',
            'addresses': [{'address': address}],
        }
        self.change(uuid, network_info=[nic])
        return ports.Port(
            number, 'network', uuid, 'project', address, mac, NOW
        )

    def change(self, uuid, **values):
        """Replace values in the row of an instance."""
        old = self.instances[uuid]
        self.instances[uuid] = dataclasses.replace(old, **values)

    def add_artifacts(self, host, *artifacts):
        self.host_contents[host] += artifacts

    # -- reading -------------------------------------------------------------

    def snapshot(self):
        return audit_snapshot.DatabaseSnapshot(
            instances=self.instances,
            operations=self.operations,
            steps=self.steps,
            migrations=self.migrations,
            allocations=self.allocations,
            hosts={
                host: audit_snapshot.HostRow(
                    host,
                    node,
                    self.host_usage.get(host, self.allocated(host)),
                    self.allocated(host),
                )
                for host, node in self.nodes.items()
            },
            services=self.services,
            outbox=self.outbox,
            unfinished_events=self.unfinished_events,
            ports=self.ports,
        )

    def allocated(self, host):
        rows = [one.resources for one in self.allocations if one.host == host]
        sums = map(sum, zip(*rows, strict=True)) if rows else (0, 0, 0)
        return hosts.Resources(*sums)
