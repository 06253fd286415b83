# SPDX-License-Identifier: Apache-2.0
"""The base of tests with real guests: libvirt, QEMU and real services.

The console of the counting guest shows that it is the same guest with the same
memory and disk after a migration. The hosts are those of a rig.
"""

from testtools import content

from minova.conf import CONF
from minova.db.connections import engine
from minova.rig import guest
from tests import base
from tests.fixtures import processes
from tests.fixtures import servers
from tests.fixtures.processes import Cluster
from tests.fixtures.rig import Rig
from tests.fixtures.user import User

_MIB = 1 << 20


class QemuTestCase(base.TestCase):
    """Two hosts, RabbitMQ, MariaDB, and the services."""

    time_limit = 400
    shared = False
    tls = False
    #: The options of the conductor.
    conductor: dict = {}

    def setUp(self):
        super().setUp()
        name = self.id().rpartition('.')[2][:40]
        self.rig = self.useFixture(self.make_rig())
        broker = servers.shared(servers.RabbitMQ)
        self.addCleanup(broker.delete_vhost, name)
        database = servers.shared(servers.MariaDB)
        self.addCleanup(database.drop, name)
        url = database.url(name)
        self.manage = processes.sync(self.directory, url)
        self.urls = broker.vhost(name), url
        self.cluster = self.useFixture(
            Cluster(
                *self.urls,
                self.directory,
                route=self.route,
                **self.options(),
            )
        )
        self.addOnException(self._show_logs)
        self.database = engine.connect(CONF, url)
        self.addCleanup(self.database.dispose)
        self.cluster.start('conductor', 'c0', wait=False, **self.conductor)
        self.computes = {
            host: self.start_compute(host, wait=False)
            for host in self.rig.hosts
        }
        api = self.start_api()
        for name, service in self.cluster.services.items():
            if not name.startswith('api'):
                service.wait_for('is ready.')
        self.user = User(f'{api.url}/v2.1', 'admin:admin')
        self.user.flavor('small', 96)
        self.user.flavor('big', 128, disk=2)
        self.user.flavor('roomy', 160)

    def options(self):
        """Return the options of all services, by group."""
        return {}

    def route(self, name):
        """Return the URLs by which a service reaches broker and database."""
        return self.urls

    def start_api(self):
        return self.cluster.start_api()

    def make_rig(self):
        return Rig(shared=self.shared, tls=self.tls)

    def start_compute(self, host, wait=True, **more):
        options = self.rig.options(host)
        for group, values in more.items():
            options.setdefault(group, {}).update(values)
        return self.cluster.start('compute', host, wait=wait, **options)

    def _show_logs(self, exc_info):
        for name, service in self.cluster.services.items():
            log = content.text_content(service.log_text()[-20000:])
            self.addDetailUniqueName(name, log)

    def make_image(self, words=''):
        """Create the image of the counting guest."""
        made = self.rig.guest
        parts = {}
        for part, path in (('kernel', made.kernel), ('ramdisk', made.ramdisk)):
            with open(path, 'rb') as file:
                parts[f'{part}_id'] = self.user.image(file.read())
        command_line = f'{guest.COMMAND_LINE} {words}'.strip()
        self.user.image(bytes(_MIB), os_command_line=command_line, **parts)

    def boot(self, words='', **more):
        """Return a server with the counting guest, and its host."""
        self.make_image(words)
        uuid = self.user.boot(**more)
        host = self.user.host(uuid)
        self.rig.wait_for_count(host, uuid)
        return uuid, host

    def other(self, host):
        (found,) = set(self.rig.hosts) - {host}
        return found

    def live_migrate(self, uuid):
        """Migrate a server; return its new host."""
        before = self.user.host(uuid)
        self.user.live_migrate(uuid)
        self.user.wait(uuid, 'ACTIVE', 120)
        host = self.user.host(uuid)
        self.assertNotEqual(before, host)
        return host

    def migration(self, uuid):
        """Return the API path of the running migration of a server."""
        path = f'/servers/{uuid}/migrations'
        (migration,) = self.user.request('GET', path)['migrations']
        return f'{path}/{migration["id"]}'

    def force(self, uuid):
        """Force a live migration to complete."""
        path = f'{self.migration(uuid)}/action'
        self.user.request('POST', path, {'force_complete': None})

    def wait_for(self, true, seconds=90):
        until = base.clock.monotonic() + seconds
        while not true():
            if base.clock.monotonic() > until:
                self.fail('it never came true')
            base.clock.sleep(0.05)

    def assert_nothing_left(self):
        self.assertEqual(
            {}, {n: f for n, f in self.rig.guest_directories().items() if f}
        )

    def assert_runs_once(self, uuid, host):
        self.assertEqual([host], self.rig.hosts_running(uuid))
