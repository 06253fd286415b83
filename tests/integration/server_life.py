# SPDX-License-Identifier: Apache-2.0
"""The life of a server, action by action, with the ``openstack`` command.

It runs on the all-in-one with real guests, and on separate services over
RabbitMQ with a Keystone and a Glance. The tests with the stock client on the
all-in-one without guests look at each action more closely.
"""

import contextlib
import re

from tests import base

#: Seconds in which an action ends, also with an emulated processor.
_TIMEOUT = 120


class ServerLife:
    """A server ``one`` of an image, a flavor and a larger one.

    Its hosts have no other server. ``network`` is the name of its network,
    ``network_id`` what the client calls it, ``is_real`` tells whether the
    hypervisor has consoles, and guests that lack the guest agent.
    """

    #: Called with a host that fails, and when it returns.
    fail = restart = staticmethod(lambda host: None)

    def __init__(
        self,
        test,
        shell,
        hosts,
        image,
        flavors,
        network,
        is_real,
        network_id=None,
    ):
        self._test = test
        self._shell = shell
        self._hosts = hosts
        self._image = image
        self._flavor, self._bigger = flavors
        self._network = network
        self._network_id = network_id or network
        self._is_real = is_real

    def run(self):
        """Run every action once, each in a state in which it is offered."""
        self._place()
        self._create()
        self._lock()
        self._change_power()
        self._rename()
        self._take_images()
        self._rebuild()
        self._resize()
        self._move()
        self._attach_network()
        self._shelve()
        self._evacuate()
        self._look_inside()
        self._delete()

    # -- actions -------------------------------------------------------------

    def _place(self):
        self._done('aggregate create --property rack=1 racks')
        host = self._hosts[0]
        self._done(f'aggregate add host racks {host}')
        shown = self._table('aggregate show racks')
        self._test.assertEqual([host], shown['hosts'])
        self._group = self._table(
            'server group create --policy soft-anti-affinity apart'
        )['id']

    def _create(self):
        made = self._table(
            f'server create --image {self._image} --flavor {self._flavor} '
            f'--network {self._network} --hint group={self._group} '
            '--property kept=yes --wait one'
        )
        self._uuid = made['id']
        self._test.assertEqual('ACTIVE', made['status'])
        group = self._table('server group show apart')
        self._test.assertEqual([self._uuid], _as_list(group['members']))

    def _lock(self):
        self._done('server lock --reason audit one')
        self._test.assertTrue(self._show()['locked'])
        self._done('server unlock one')

    def _change_power(self):
        for command, status in (
            ('stop', 'SHUTOFF'),
            ('start', 'ACTIVE'),
            ('pause', 'PAUSED'),
            ('unpause', 'ACTIVE'),
            ('suspend', 'SUSPENDED'),
            ('resume', 'ACTIVE'),
            ('reboot --hard', 'ACTIVE'),
            ('rescue', 'RESCUE'),
            ('unrescue', 'ACTIVE'),
        ):
            self._done(f'server {command} one')
            self._settle(status)

    def _rename(self):
        self._done('server set --name eins --property a=b --tag t one')
        self._done('server set --name one eins')
        self._done('server unset --property a --tag t one')
        self._test.assertEqual({'kept': 'yes'}, self._show()['properties'])

    def _take_images(self):
        """Take a snapshot and two backups, of which one is kept."""
        self._wait_for('server image create --name shot --wait one')
        for name in ('first', 'second'):
            self._wait_for(
                f'server backup create --name {name} --type daily '
                '--rotate 1 --wait one'
            )
        names = {row['Name'] for row in self._table('image list')}
        self._test.assertEqual({self._image, 'shot', 'second'}, names)
        shown = self._table('image show shot')['properties']
        self._test.assertEqual(self._uuid, shown['instance_uuid'])

    def _rebuild(self):
        before = self._show()['addresses']
        self._wait_for('server rebuild --image shot --wait one')
        shown = self._show()
        self._test.assertIn('shot', str(shown['image']))
        self._test.assertEqual(before, shown['addresses'])

    def _resize(self):
        for answer, flavor in (
            ('revert', self._flavor),
            ('confirm', self._bigger),
        ):
            self._done(f'server resize --flavor {self._bigger} one')
            self._settle('VERIFY_RESIZE')
            self._done(f'server resize {answer} one')
            self._settle('ACTIVE')
            self._test.assertEqual(flavor, self._show()['flavor']['name'])

    def _move(self):
        for command in ('migrate --live-migration', 'migrate'):
            before = self._host()
            self._done(f'server {command} one')
            if 'live' not in command:
                self._settle('VERIFY_RESIZE')
                self._done('server migration confirm one')
            self._settle('ACTIVE')
            self._test.assertNotEqual(before, self._host())
        moves = self._table(f'server migration list --server {self._uuid}')
        self._test.assertEqual(
            ['migration', 'live-migration', 'resize', 'resize'],
            [move['Type'] for move in moves],
        )

    def _attach_network(self):
        """A guest without an operating system keeps its NICs while it runs."""
        for command, count in (
            (f'add network one {self._network_id}', 2),
            ('stop one', 2),
            (f'remove network one {self._network_id}', 0),
            (f'add network one {self._network_id}', 1),
            ('start one', 1),
        ):
            self._done(f'server {command}')
            self._until(lambda count=count: self._count_addresses() == count)
        self._settle('ACTIVE')

    def _count_addresses(self):
        shown = self._show()
        if shown['OS-EXT-STS:task_state'] is not None:
            return None
        return len(shown['addresses'].get(self._network, ()))

    def _shelve(self):
        self._done('server shelve one')
        self._settle('SHELVED_OFFLOADED')
        self._test.assertIsNone(self._host())
        self._done('server unshelve one')
        self._settle('ACTIVE')
        self._test.assertIn(self._host(), self._hosts)

    def _evacuate(self):
        """Let the host of the server fail, and return."""
        before = self._host()
        self.fail(before)
        service = f'{before} nova-compute'
        self._done(f'compute service set --down {service}')
        self._done('server evacuate one')
        # Since 2.95 it stays stopped.
        self._settle('SHUTOFF')
        self._test.assertNotEqual(before, self._host())
        self.restart(before)
        self._done(f'compute service set --up {service}')
        self._until(
            lambda: (
                self._table(f'compute service list --host {before}')[0][
                    'State'
                ]
                == 'up'
            )
        )
        self._done('server start one')
        self._settle('ACTIVE')

    def _look_inside(self):
        shown = self._table('server show --diagnostics one')
        self._test.assertEqual('running', shown['state'])
        self._done('server dump create one')
        self._done('console log show one')
        if not self._is_real:
            self._done('server set --password x one')
        else:
            self._refused('server set --password x one', '409: .*guest agent')
            url = self._table('console url show --novnc one')
            self._test.assertIn('token', url['url'])
        self._done('server set --auto-approve --state error one')
        self._settle('ERROR')
        self._done('server set --auto-approve --state active one')
        self._settle('ACTIVE')

    def _delete(self):
        names = {
            event['Action']
            for event in self._table(f'server event list {self._uuid}')
        }
        self._test.assertLessEqual(
            {'create', 'createImage', 'evacuate', 'rebuild', 'shelve'}, names
        )
        self._wait_for('server delete --wait one')
        listed = [row['ID'] for row in self._table('server list')]
        self._test.assertNotIn(self._uuid, listed)
        (used,) = self._table('usage list')
        self._test.assertIn(
            self._uuid, [one['instance_id'] for one in used['Servers']]
        )
        self._done('server group delete apart')
        self._done(f'aggregate remove host racks {self._hosts[0]}')
        self._done('aggregate delete racks')

    # -- commands ------------------------------------------------------------

    def _table(self, command):
        return self._shell.table(command)

    def _done(self, command):
        code, said = self._shell.run(command)
        self._test.assertEqual(0, code, f'{command}: {said}')
        return said

    #: A command with --wait tells its progress.
    _wait_for = _done

    def _refused(self, command, pattern):
        code, said = self._shell.run(command)
        self._test.assertEqual(1, code, f'{command}: {said}')
        self._test.assertRegex(said, re.compile(pattern, re.DOTALL))

    def _show(self):
        return self._table(f'server show {self._uuid}')

    def _host(self):
        return self._show()['OS-EXT-SRV-ATTR:host']

    def _settle(self, status):
        self._until(
            lambda: (
                (
                    (shown := self._show())['status'],
                    shown['OS-EXT-STS:task_state'],
                )
                == (status, None)
            )
        )

    def _until(self, is_true):
        until = base.clock.monotonic() + _TIMEOUT
        while not is_true():
            if base.clock.monotonic() > until:
                self._test.fail(f'It did not come true: {self._show()}')
            base.clock.sleep(0.2)


def _as_list(value):
    """Return what the client shows as text or as a list."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return [one.strip() for one in value.split(',')]
    return value
