# SPDX-License-Identifier: Apache-2.0
"""The recorded chains of the documentation are what the services do.

Each test runs one chain in a cloud of fake hosts and compares what
``minova-manage timeline`` prints with ``doc/source/recorded/``: which step
runs on which host, what is emitted, in which order. Times are not compared.
The pages and the diagrams are made of these files. To record them again::

    MINOVA_RECORD=1 stestr --test-path tests/functional run test_chains
"""

import argparse
import contextlib
import datetime
import io
import os
import pathlib
import re
import uuid

import sqlalchemy as sa

from minova import clock
from minova import images
from minova import states
from minova.audit import confirmed_scan
from minova.cmd import manage_archive
from minova.cmd import manage_audit
from minova.cmd import manage_notifications
from minova.cmd import manage_operation
from minova.cmd.commands import Commands
from minova.db import tables
from minova.db.queries import hosts
from minova.engine import service_liveness
from minova.engine import state_reset
from minova.engine import timeline
from minova.objects.snapshot_image import SnapshotImage
from minova.states import PowerState
from tests.functional.base import FlowTestCase
from tests.functional.test_attach_interface import InterfaceCase
from tests.functional.test_evacuate import EvacuateTestCase

RECORDED = pathlib.Path(__file__, '../../../doc/source/recorded').resolve()

_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_DURATION = re.compile(r' +[0-9]+(\.[0-9])? ms')
_EXAMPLE_DATE = datetime.datetime(2026, 11, 21, 15, 30)
_DATE = re.compile(r'20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{8}(\.[0-9]{6})?')


def _without_times(text):
    return _DURATION.sub('', text).split('\n')


def _with_examples(text):
    """Replace ids and dates by ones that are the same in each run."""
    known = {}
    for found in _UUID.findall(text):
        example = uuid.uuid5(uuid.NAMESPACE_URL, f'example {len(known)}')
        known.setdefault(found, str(example))
    text = _UUID.sub(lambda match: known[match[0]], text)
    dates = [match[0][:19] for match in _DATE.finditer(text)]
    first = min(dates, default='')

    def date(match):
        """Keep the hours since the first date of the output."""
        found = datetime.datetime.fromisoformat(match[0][:19])
        since = found - datetime.datetime.fromisoformat(first)
        hours = datetime.timedelta(hours=round(since.total_seconds() / 3600))
        return f'{_EXAMPLE_DATE + hours}' + ('.123456' if match[1] else '')

    return _DATE.sub(date, text)


def snapshot_image(instance_uuid, name):
    """Return the record of an image of an instance."""
    return SnapshotImage(
        id=clock.uuid4(),
        name=name,
        owner='project',
        container_format='bare',
        min_disk=1,
        min_ram=0,
        properties={'instance_uuid': instance_uuid},
    )


class ChainTestCase(FlowTestCase):
    """Three hosts; ``host1`` has the instance, ``host2`` is chosen next."""

    hosts = ('host1', 'host2', 'host3')

    def booted_on_host1(self):
        """Return an instance on host1."""
        return self.cloud.boot(host='host1')

    def take_down(self, host):
        """Stop the compute of a host, until the host counts as down."""
        self.config(group='conductor', service_down_time=1.0)
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.wait_for(
            lambda: service_liveness.is_silent(
                self.cloud.read(hosts.list_services, 'nova-compute', host)[
                    0
                ].heartbeat_age
            )
        )

    def big(self):
        """Return a flavor to resize to."""
        return self.cloud.flavor('big', id=2, memory_mb=1024)

    def fail_once(self, host, method, error, kind='GuestFailed'):
        """Let the next call of a driver's method fail."""
        self.cloud.world.inject_fault(host, method, error, 1, kind)

    def check(self, name, uuid, *kinds):
        """Compare operations of an instance with a recording, or record."""
        lines = []
        for operation, entries in self.cloud.database.read(
            lambda c: list(timeline.of_instance(c, uuid, kinds))
        ):
            lines += [*timeline.render(operation, entries), '']
        self.compare(f'{name}.timeline', '\n'.join(lines[:-1]) + '\n')

    def compare(self, name, output):
        """Compare an output with a recording, or record it."""
        text = _with_examples(output)
        path = RECORDED / name
        if os.environ.get('MINOVA_RECORD'):
            path.write_text(text)
        self.assertEqual(
            _without_times(path.read_text()), _without_times(text)
        )


class InterfacesTest(InterfaceCase, ChainTestCase):
    """The interfaces of a server."""

    def test_attach_and_detach(self):
        uuid = self.booted_on_host1()
        self.attach(uuid)
        self.detach(uuid)
        self.check(
            'attach_interface', uuid, 'attach_interface', 'detach_interface'
        )


class OneHostTest(ChainTestCase):
    """Chains that stay on one host."""

    def test_create(self):
        uuid = self.booted_on_host1()
        self.check('create', uuid, 'create')

    def test_create_on_the_next_host(self):
        self.fail_once('host1', 'start', 'no memory')
        uuid = self.cloud.boot()
        self.check('create_next_host', uuid, 'create')

    def test_stop_and_start(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('stop', uuid)
        self.cloud.begin('start', uuid)
        self.check('stop', uuid, 'stop')
        self.check('start', uuid, 'start')

    def test_stop_that_fails(self):
        uuid = self.booted_on_host1()
        self.fail_once('host1', 'shutdown', 'the domain is locked')
        self.cloud.begin('stop', uuid)
        self.check('stop_failed', uuid, 'stop')

    def test_suspend_and_resume(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('suspend', uuid)
        self.cloud.begin('resume', uuid)
        self.check('suspend_resume', uuid, 'suspend', 'resume')

    def test_reboot(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('reboot_soft', uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.check('reboot_soft', uuid, 'reboot_soft')
        self.check('reboot_hard', uuid, 'reboot_hard')

    def test_reboot_that_fails(self):
        uuid = self.booted_on_host1()
        self.fail_once('host1', 'define', 'no such machine type')
        self.cloud.begin('reboot_hard', uuid)
        self.check('reboot_failed', uuid, 'reboot_hard')

    def test_rebuild(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('rebuild', uuid, changes={}, before={})
        self.check('rebuild', uuid, 'rebuild')

    def test_rebuild_that_fails(self):
        uuid = self.booted_on_host1()
        self.fail_once('host1', 'start', 'no boot sector')
        self.cloud.begin('rebuild', uuid, changes={}, before={})
        self.check('rebuild_failed', uuid, 'rebuild')

    def test_delete(self):
        uuid = self.booted_on_host1()
        self.cloud.delete(uuid)
        self.check('delete', uuid, 'delete')

    def test_shelve_and_unshelve(self):
        uuid = self.booted_on_host1()
        image = snapshot_image(uuid, 'server-shelved')
        self.cloud.begin('shelve', uuid, image=image)
        self.cloud.begin('unshelve', uuid, disk_format='raw', host='host2')
        self.check('shelve', uuid, 'shelve', 'shelve_offload', 'unshelve')

    def test_snapshot(self):
        uuid = self.booted_on_host1()
        self.take_snapshot(uuid)
        self.check('snapshot', uuid, 'snapshot')

    def test_snapshot_that_fails(self):
        uuid = self.booted_on_host1()
        self.fail_once('host1', 'take_snapshot', 'no space left on device')
        self.take_snapshot(uuid)
        self.check('snapshot_failed', uuid, 'snapshot')

    def take_snapshot(self, uuid):
        """Turn the disk of an instance into an image."""
        image = snapshot_image(uuid, 'server-copy')
        self.cloud.begin('snapshot', uuid, image=image)

    def test_soft_delete_and_restore(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('soft_delete', uuid, host_down=False)
        self.cloud.begin('restore', uuid)
        self.check('soft_delete', uuid, 'soft_delete', 'restore')


class PowerSyncTest(ChainTestCase):
    """The hypervisor and the database differ."""

    def test_guest_shuts_itself_down(self):
        uuid = self.booted_on_host1()
        self.cloud.world.set_power('host1', uuid, PowerState.SHUTDOWN)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.STOPPED
        )
        self.cloud.settle(uuid)
        self.check('power_sync_stop', uuid, 'stop')

    def test_stopped_guest_starts(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('stop', uuid)
        self.cloud.world.set_power('host1', uuid, PowerState.RUNNING)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.ACTIVE
        )
        self.cloud.settle(uuid)
        self.check('power_sync_adopt', uuid, 'power_sync')

    def test_stopped_guest_is_stopped_again(self):
        self.config(
            group='conductor', unexpected_running_instance_action='stop'
        )
        uuid = self.booted_on_host1()
        self.cloud.begin('stop', uuid)
        self.cloud.world.set_power('host1', uuid, PowerState.RUNNING)
        self.cloud.wait_for(lambda: not self.cloud.world.running(uuid))
        self.cloud.settle(uuid)
        self.check('power_sync_enforce', uuid, 'enforce_stop')


class ResizeTest(ChainTestCase):
    """Resize, confirm, revert, and what fails."""

    def test_resize_and_confirm(self):
        uuid = self.booted_on_host1()
        self.cloud.resize(uuid, self.big())
        self.cloud.confirm(uuid)
        self.check('resize', uuid, 'resize')
        self.check('resize_confirm', uuid, 'confirm_resize')

    def test_revert(self):
        uuid = self.booted_on_host1()
        self.cloud.resize(uuid, self.big())
        self.cloud.revert(uuid)
        self.check('resize_revert', uuid, 'revert_resize')

    def test_next_destination(self):
        uuid = self.booted_on_host1()
        self.fail_once('host2', 'guest', 'libvirt is not reachable')
        self.cloud.begin('migrate', uuid)
        self.check('resize_next_host', uuid, 'migrate')

    def test_undo(self):
        uuid = self.booted_on_host1()
        self.fail_once('host2', 'start', 'no memory')
        self.cloud.resize(uuid, self.big())
        self.check('resize_undone', uuid, 'resize')

    def test_confirm_with_the_source_down(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('migrate', uuid)
        self.take_down('host1')
        self.cloud.confirm(uuid, wait=False)
        self.cloud.begin('reboot_hard', uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).task_id is None)
        self.cloud.start_compute('host1')
        self.cloud.settle(uuid)
        self.check(
            'resize_confirm_source_down', uuid, 'confirm_resize', 'reboot_hard'
        )


class EvacuationTest(EvacuateTestCase, ChainTestCase):
    """A host that dies, and returns."""

    def test_evacuate(self):
        uuid = self.booted_on_host1()
        self.kill('host1', uuid)
        self.evacuate(uuid)
        self.restart('host1')
        self.cloud.settle(uuid)
        self.check('evacuate', uuid, 'evacuate')

    def test_next_destination(self):
        uuid = self.booted_on_host1()
        self.fail_once('host2', 'start', 'no memory')
        self.kill('host1', uuid)
        self.evacuate(uuid)
        self.check('evacuate_next_host', uuid, 'evacuate')


class LiveMigrationTest(ChainTestCase):
    """Live migration, its rollback, abort and force-complete."""

    def migrating(self):
        """Return an instance whose migration takes an hour."""
        self.config(group='fake', migration_seconds=3600)
        uuid = self.booted_on_host1()
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('host1')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        return uuid

    def test_live_migration(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('live_migrate', uuid)
        self.check('live_migrate', uuid, 'live_migrate')

    def test_rollback(self):
        uuid = self.booted_on_host1()
        self.fail_once(
            'host1',
            'start_live_migration',
            'unsupported configuration',
            'GuestMigrationFailed',
        )
        self.cloud.begin('live_migrate', uuid)
        self.check('live_migrate_rollback', uuid, 'live_migrate')

    def test_abort(self):
        uuid = self.migrating()
        self.cloud.begin('abort_live_migrate', uuid)
        self.check('live_migrate_aborted', uuid, 'live_migrate')
        self.check('live_migrate_abort', uuid, 'abort_live_migrate')

    def test_reset_state(self):
        uuid = self.migrating()
        self.cloud.begin(
            'reset_state',
            uuid,
            lambda connection, instance: state_reset.describe(
                connection, instance, states.ERROR
            ),
        )
        self.cloud.settle(uuid)
        self.check('reset_state', uuid, 'live_migrate', 'reset_state')

    def test_force_complete(self):
        uuid = self.migrating()
        self.cloud.begin('force_live_migrate', uuid)
        self.check('live_migrate_force', uuid, 'force_live_migrate')

    def test_source_compute_restarts(self):
        self.config(group='fake', migration_seconds=1)
        uuid = self.booted_on_host1()
        self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('host1')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.cloud.stop(self.cloud.computes['host1'])
        self.cloud.start_compute('host1')
        self.cloud.settle(uuid)
        self.check('live_migrate_restart', uuid, 'live_migrate')


class OperatorTest(ChainTestCase):
    """What an operator reads while an operation waits for a host."""

    def manage(self, *words, status=0):
        """Return what a minova-manage command prints, after its line."""
        parser = argparse.ArgumentParser()
        commands = Commands(parser)
        manage_operation.add_commands(commands)
        manage_audit.add_commands(commands)
        manage_notifications.add_commands(commands)
        manage_archive.add_commands(commands)
        url = self.cloud.database.engine.url.render_as_string(False)
        self.config(group='database', connection=url)
        arguments = parser.parse_args(words)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(status, arguments.run(arguments))
        return f'$ minova-manage {" ".join(words)}\n{out.getvalue()}'

    def test_operation_commands(self):
        self.config(group='conductor', service_down_time=1.0)
        self.config(group='fake', migration_seconds=3600)
        uuid = self.booted_on_host1()
        begun = self.cloud.begin('live_migrate', uuid, wait=False)
        driver = self.cloud.driver('host1')
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.cloud.stop(self.cloud.computes['host1'])
        self.cloud.wait_for(
            lambda: self.cloud.operations(uuid)[-1].wait_reason
        )
        name = begun.operation.id
        output = [
            self.manage('operation', 'list', '--waiting'),
            self.manage('operation', 'show', name),
            self.manage(
                'operation', 'abandon', name, '--reason', 'rack-4-burnt'
            ),
        ]
        self.compare('operation_commands.console', '\n'.join(output))

    def test_audit(self):
        self.config(transport_url=self.cloud.url)
        self.patch(confirmed_scan, 'RESCAN_DELAY', 0.1)
        self.patch(images, 'load', lambda: self.cloud.images)
        uuid = self.booted_on_host1()
        store = self.cloud.world.store
        for kind in ('guests', 'disks'):
            record = store.get(f'host1/{kind}/{uuid}')
            store.put(f'host2/{kind}/{uuid}', record)
        self.cloud.database.write(
            lambda c: c.execute(
                sa.update(tables.hosts)
                .where(tables.hosts.c.host == 'host1')
                .values(vcpus_used=9)
            )
        )
        self.compare('audit.console', self.manage('audit', '--repair'))

    def test_notification_commands(self):
        uuid = self.booted_on_host1()
        self.cloud.begin('stop', uuid)
        log = pathlib.Path(self.directory, 'billing.log')
        listed = self.manage(
            'notifications', 'list', '--instance', uuid, '--json'
        )
        lines = listed.splitlines()[1:]
        # The consumer has lost one, altered one and received one twice.
        lines[7] = lines[7].replace('powering-off', 'powering-on')
        log.write_text('\n'.join([*lines[:2], *lines[3:], lines[-1], '']))
        output = [
            self.manage('notifications', 'list', '--instance', uuid),
            self.manage('notifications', 'verify', str(log), status=1),
            self.manage('notifications', 'replay', '--all', '--dry-run'),
            self.manage('archive', '--older-than', '0'),
        ]
        text = '\n'.join(output).replace(f'{self.directory}/', '')
        self.compare('notification_commands.console', text)
