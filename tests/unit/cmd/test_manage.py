# SPDX-License-Identifier: Apache-2.0
"""minova-manage: output, errors and exit codes."""

import contextlib
import datetime
import io
import logging
import os
import re
import shutil
import subprocess
import sys

import fixtures

from minova import clock
from minova import states
from minova.cmd import manage
from minova.conf import CONF
from minova.db import migrate
from minova.db import schema
from minova.db import tables
from minova.db.connections import engine
from minova.db.queries import hosts
from minova.db.queries import ports
from minova.engine import host_enrollment
from minova.objects.host import HostReport
from minova.rpc import signing
from minova.rpc.signing import SigningKey
from tests import base
from tests.fixtures.cloud import Cloud

NEWER = '9999'
UNKNOWN_ID = '8f8bb350-31b5-40a7-abf8-5df69d5b1b12'


class Logging(fixtures.Fixture):
    """Restores the logging that minova-manage configures."""

    def _setUp(self):
        root = logging.getLogger()
        self.addCleanup(setattr, root, 'handlers', list(root.handlers))
        self.addCleanup(setattr, sys, 'excepthook', sys.excepthook)
        known = [root, *map(logging.getLogger, root.manager.loggerDict)]
        for logger in known:
            self.addCleanup(logger.setLevel, logger.level)


class ManageTestCase(base.TestCase):
    """Runs minova-manage on a database file."""

    def setUp(self):
        super().setUp()
        self.useFixture(Logging())
        self.url = f'sqlite:///{self.path("minova.sqlite")}'
        self.file = self.write('minova.conf', self.database_section(self.url))

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), 'w') as file:
            file.write(text)
        return self.path(name)

    def database_section(self, url):
        return f'[database]\nconnection = {url}\n'

    def run_manage(self, *words, files=None):
        """Run minova-manage; return its exit code, stdout and stderr."""
        named = [self.file] if files is None else files
        argv = [f'--config-file={name}' for name in named] + list(words)
        out, err = io.StringIO(), io.StringIO()
        CONF.reset()  # a process that starts has read nothing
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = manage.main(argv)
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    def run_ok(self, *words, **options):
        """Run a command that succeeds; return its output."""
        code, out, err = self.run_manage(*words, **options)
        self.assertEqual((0, ''), (code, err))
        return out

    def run_refused(self, code, *words, **options):
        """Run a command that fails; return its one line on stderr."""
        found, out, err = self.run_manage(*words, **options)
        self.assertEqual((code, ''), (found, out))
        self.assertRegex(err, r'\Aminova-manage: .+\n\Z')
        return err

    def open(self):
        """Return the database with the current schema."""
        database = engine.connect(CONF, self.url)
        self.addCleanup(database.dispose)
        migrate.sync(database)
        return database


class DatabaseTest(ManageTestCase):
    """minova-manage db."""

    def test_before_and_after_sync(self):
        needs = f'(this release requires {schema.HEAD})'
        self.assertEqual(
            (1, f'empty {needs}\n', ''), self.run_manage('db', 'version')
        )
        self.assertEqual(
            f'The schema is upgraded from none to {schema.HEAD}.\n',
            self.run_ok('db', 'sync'),
        )
        self.assertEqual(
            f'{schema.HEAD} {needs}\n', self.run_ok('db', 'version')
        )
        self.assertEqual(
            f'The schema is at revision {schema.HEAD} already.\n',
            self.run_ok('db', 'sync'),
        )

    def test_newer_schema_is_unchanged(self):
        self.open().write(
            lambda connection: connection.exec_driver_sql(
                f"UPDATE alembic_version SET version_num = '{NEWER}'"
            )
        )
        self.assertEqual(
            f'The schema is at revision {NEWER} already.\n',
            self.run_ok('db', 'sync'),
        )
        self.assertEqual(
            f'{NEWER} (this release requires {schema.HEAD})\n',
            self.run_ok('db', 'version'),
        )

    def test_log_goes_to_stderr(self):
        more = '[DEFAULT]\ndefault_log_levels = alembic=INFO\n'
        with open(self.file, 'a') as file:
            file.write(more)
        code, out, err = self.run_manage('db', 'sync')
        self.assertEqual(0, code)
        self.assertEqual(
            f'The schema is upgraded from none to {schema.HEAD}.\n', out
        )
        self.assertIn('Running upgrade', err)


class HostsTest(ManageTestCase):
    """minova-manage host list."""

    def setUp(self):
        super().setUp()
        self.database = self.open()

    def at(self, seconds):
        """Set the clock to ``seconds`` past noon."""
        noon = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
        moment = noon + datetime.timedelta(seconds=seconds)
        self.patch(clock, 'now', lambda: moment)

    def host(self, name, used=(0, 0, 0), service=True, **says):
        """Register a host with these allocations."""
        report = HostReport(**(self.reported(name) | says))

        def work(connection):
            if service:
                hosts.register_service(
                    connection, 'nova-compute', name, 'start1', '1.0'
                )
            hosts.save_host_report(connection, report)
            names = ('vcpus_used', 'memory_mb_used', 'disk_gb_used')
            connection.execute(
                tables.hosts.update()
                .where(tables.hosts.c.host == name)
                .values(dict(zip(names, used, strict=True)))
            )

        self.database.write(work)

    def reported(self, name):
        return {
            'host': name,
            'incarnation': 'start1',
            'version': '1.0',
            'address': '192.0.2.1',
            'availability_zone': 'nova',
            'hypervisor_hostname': name,
            'hypervisor_type': 'fake',
            'hypervisor_version': 1,
            'cpu_info': {},
            'supported_instances': [],
            'traits': [],
            'numa_cells': [],
            'vcpus': 4,
            'pcpus': 0,
            'memory_mb': 8192,
            'disk_gb': 100,
            'reserved_memory_mb': 0,
            'reserved_disk_gb': 0,
            'cpu_allocation_ratio': 4.0,
            'ram_allocation_ratio': 1.0,
            'disk_allocation_ratio': 1.0,
        }

    def report_host(self, host, **values):
        """Change the service of a host, as an administrator does."""

        def work(connection):
            found = hosts.list_services(connection, 'nova-compute', host)
            hosts.update_service(connection, found[0].id, values)

        self.database.write(work)

    def listed(self):
        """Return the rows as lists of fields."""
        head, *rows = self.run_ok('host', 'list').splitlines()
        self.assertEqual(
            'HOST STATE STATUS VCPUS MEMORY MiB DISK GiB KEY',
            ' '.join(head.split()),
        )
        return [row.split() for row in rows]

    def states(self):
        return [tuple(row[:3]) for row in self.listed()]

    def test_none(self):
        self.assertEqual([], self.listed())

    def test_allocated(self):
        self.host('a', used=(3, 512, 10))
        self.host('b')
        self.assertEqual(
            [
                ['a', 'up', 'enabled', '3/16', '512/8192', '10/100', 'none'],
                ['b', 'up', 'enabled', '0/16', '0/8192', '0/100', 'none'],
            ],
            self.listed(),
        )

    def test_up_and_enabled(self):
        self.at(0)
        self.host('silent')
        self.host('disabled')
        self.at(40)
        self.host('fine')
        self.host('forced')
        self.report_host('disabled', disabled=True, disabled_reason='new fan')
        self.report_host('forced', forced_down=True)
        self.at(59)
        self.assertEqual(
            [
                ('silent', 'up', 'enabled'),
                ('disabled', 'up', 'disabled'),
                ('fine', 'up', 'enabled'),
                ('forced', 'down', 'enabled'),
            ],
            self.states(),
        )
        self.at(61)
        self.assertEqual(
            [
                ('silent', 'down', 'enabled'),
                ('disabled', 'down', 'disabled'),
                ('fine', 'up', 'enabled'),
                ('forced', 'down', 'enabled'),
            ],
            self.states(),
        )

    def test_reserved_is_not_free(self):
        self.host('a', reserved_memory_mb=512, reserved_disk_gb=20)
        self.assertEqual(['0/16', '0/7680', '0/80'], self.listed()[0][3:6])

    def test_half_a_vcpu_is_not_free(self):
        self.host('a', vcpus=5, cpu_allocation_ratio=1.5)
        self.assertEqual('0/7', self.listed()[0][3])

    def test_host_without_service(self):
        self.host('a', service=False)
        self.assertEqual([('a', 'down', 'disabled')], self.states())

    def test_schema_is_missing(self):
        elsewhere = f'sqlite:///{self.path("other.sqlite")}'
        file = self.write('other.conf', self.database_section(elsewhere))
        line = self.run_refused(1, 'host', 'list', files=[file])
        self.assertIn('run "minova-manage db sync"', line)


class HostKeysTest(ManageTestCase):
    """minova-manage host enroll, revoke, and list with their effect."""

    def setUp(self):
        super().setUp()
        self.database = self.open()
        self.key = SigningKey.generate().public_key
        self.key_file = self.write('compute-a.pub', f'{self.key}\n')

    def listed(self):
        rows = self.run_ok('host', 'list').splitlines()[1:]
        return [(row.split()[0], row.split()[-1]) for row in rows]

    def test_token(self):
        code, out, err = self.run_manage('host', 'enroll', 'a')
        self.assertEqual(0, code)
        (token,) = out.splitlines()
        self.assertIn('enrollment-token in the state directory of host a', err)
        self.assertEqual([('a', 'awaited')], self.listed())
        self.database.write(
            lambda c: host_enrollment.enroll(c, 'a', self.key, token)
        )
        self.assertEqual([('a', 'enrolled')], self.listed())

    def test_key(self):
        out = self.run_ok('host', 'enroll', 'a', '--key', self.key_file)
        self.assertEqual(
            f'Host a has the key {signing.fingerprint(self.key)}.\n', out
        )
        self.assertEqual([('a', 'enrolled')], self.listed())

    def test_replace(self):
        self.run_ok('host', 'enroll', 'a', '--key', self.key_file)
        line = self.run_refused(1, 'host', 'enroll', 'a')
        self.assertIn('Host a has a key since ', line)
        self.assertIn('--replace', line)
        self.run_manage('host', 'enroll', 'a', '--replace')
        self.assertEqual([('a', 'awaited')], self.listed())

    def test_revoke(self):
        self.run_ok('host', 'enroll', 'a', '--key', self.key_file)
        out = self.run_ok('host', 'revoke', 'a')
        self.assertIn('The key of host a is revoked.', out)
        self.assertEqual([('a', 'revoked')], self.listed())
        self.run_ok('host', 'enroll', 'a', '--key', self.key_file)
        self.assertEqual([('a', 'enrolled')], self.listed())

    def test_unknown_host(self):
        line = self.run_refused(1, 'host', 'revoke', 'x')
        self.assertIn('Compute host x could not be found', line)

    def test_a_file_that_is_no_key(self):
        for text in ('', 'x', self.key[:20]):
            self.write('compute-a.pub', text)
            line = self.run_refused(
                2, 'host', 'enroll', 'a', '--key', self.key_file
            )
            self.assertIn('no public key of a host', line)
        line = self.run_refused(2, 'host', 'enroll', 'a', '--key', '/none')
        self.assertIn('/none', line)
        self.assertEqual([], self.listed())


class BrokerTest(ManageTestCase):
    """minova-manage broker."""

    def test_permissions(self):
        lines = self.run_ok(
            'broker', 'permissions', 'compute', '--host', 'n0', '--vhost', 'v'
        ).splitlines()
        start = 'rabbitmqctl set_{} -p v minova-compute-n0 '.format
        self.assertEqual(2, len(lines))
        self.assertTrue(lines[0].startswith(start('permissions')))
        self.assertTrue(
            lines[1].startswith(start('topic_permissions') + 'amq.topic ')
        )

    def test_options_of_notifications(self):
        self.write(
            'minova.conf',
            '[notifications]\nexchange = here\n'
            '[oslo_messaging_notifications]\ntopics = one\n',
        )
        out = self.run_ok(
            *('broker', 'permissions', 'consumer', '--user', 'billing'),
            *('--queue', 'mine'),
        )
        self.assertIn("permissions -p / billing '^(here|mine)$'", out)
        self.assertIn(r"billing here '^$' '^(one\.info|one\.error)$'", out)

    def test_compute_without_host(self):
        error = self.run_refused(2, 'broker', 'permissions', 'compute')
        self.assertIn('add --host', error)


class StatesTest(ManageTestCase):
    """minova-manage states, which needs no database."""

    def test_table(self):
        head, *rows = self.run_ok('states', 'table', files=[]).splitlines()
        self.assertTrue(head.startswith('operation '), head)
        self.assertEqual(list(states.TABLE), [row.split()[0] for row in rows])
        live = next(row for row in rows if row.startswith('live_migrate '))
        self.assertEqual(
            [
                'live_migrate',
                'active, paused',
                'migrating',
                '=',
                '=',
                'exclusive',
            ],
            re.split('  +', live),
        )

    def test_table_as_restructuredtext(self):
        lines = self.run_ok('states', 'table', '--rst', files=[]).splitlines()
        rule = lines[0]
        self.assertRegex(rule, '^=+(  =+)+$')
        self.assertEqual([rule, rule], [lines[2], lines[-1]])
        plain = self.run_ok('states', 'table', files=[]).splitlines()
        self.assertEqual(plain, [lines[1], *lines[3:-1]])

    def test_diagram_is_valid_graphviz(self):
        dot = shutil.which('dot')
        self.assertIsNotNone(dot, 'install the Debian package graphviz')
        drawn = subprocess.run(
            [dot, '-Tplain'],
            input=self.run_ok('states', 'draw', files=[]),
            capture_output=True,
            text=True,
        )
        self.assertEqual(0, drawn.returncode, drawn.stderr)
        found = [line.split() for line in drawn.stdout.splitlines()]
        edges = {tuple(w[1:3]) for w in found if w[0] == 'edge'}
        for edge in (
            ('building', 'active'),
            ('active', 'stopped'),
            ('stopped', 'active'),
            ('active', 'resized'),
            ('resized', 'active'),
            ('any', 'deleted'),
        ):
            self.assertIn(edge, edges)
        self.assertIn('create', drawn.stdout)
        nodes = {w[1].strip('"') for w in found if w[0] == 'node'}
        self.assertEqual(set(), nodes - {*states.VM_STATES, 'any'})

    def test_closed_pipe(self):
        # A pager that quits early.
        reader, writer = os.pipe()
        os.close(reader)
        try:
            ended = subprocess.run(
                [sys.executable, '-m', 'minova.cmd.manage', 'states', 'table'],
                stdout=writer,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            os.close(writer)
        self.assertEqual((1, ''), (ended.returncode, ended.stderr))


class TimelineTest(ManageTestCase):
    """minova-manage timeline."""

    def make_history(self):
        """Return an instance with a migration, a failed pause and a delete."""
        with Cloud() as cloud:
            uuid = cloud.boot(host='a')
            cloud.begin('live_migrate', uuid, host='b')
            cloud.world.inject_fault('b', 'pause')
            cloud.begin('pause', uuid)
            cloud.delete(uuid)
        return uuid

    def chapters(self, text):
        """Return the title and the lines of each operation."""
        chapters = []
        for chapter in text.removesuffix('\n').split('\n\n'):
            title, *lines = chapter.splitlines()
            chapters.append((title, lines))
        return chapters

    def test_timeline(self):
        uuid = self.make_history()
        emitted = self.chapters(self.run_ok('timeline', uuid))
        self.assertEqual(
            [
                ('create', 'done'),
                ('live_migrate', 'done'),
                ('pause', 'rolled_back'),
                ('delete', 'done'),
            ],
            [tuple(title.split()[:2]) for title, _ in emitted],
        )
        for title, lines in emitted:
            self.assertRegex(title, r' \(req-\S+\), \d+ ms$')
            times = [re.match(r' +(\d+\.\d) ms  ', line) for line in lines]
            moments = [float(found[1]) for found in times if found]
            self.assertEqual(sorted(moments), moments)
        lines = emitted[1][1]
        for one, place, what, detail in (
            (0, 'api api', '~ update', 'task None > migrating'),
            (1, 'conductor', '> migrate_server', ''),
            (None, 'compute a', '> live_migration', 'cast'),
            (None, 'compute b', '> pre_live_migration', 'call'),
            (None, 'compute b', '~ live_migration.post.dest.end', ''),
        ):
            pattern = ' +'.join(filter(None, (place, what, detail)))
            pattern = r' ms +' + pattern.replace('.', r'\.') + '$'
            found = [
                number
                for number, line in enumerate(lines)
                if re.search(pattern, line)
            ]
            self.assertTrue(found, f'{pattern} in {lines}')
            if one is not None:
                self.assertEqual(one, found[0])
        self.assertRegex(emitted[2][1][0], '^  because: .*pause')

    def test_kind_filter(self):
        uuid = self.make_history()
        out = self.run_ok(
            'timeline', uuid, '--kind', 'delete', '--kind', 'live_migrate'
        )
        self.assertEqual(
            ['live_migrate', 'delete'],
            [title.split()[0] for title, _ in self.chapters(out)],
        )
        self.assertEqual('', self.run_ok('timeline', uuid, '--kind', 'resize'))

    def test_unknown_kind(self):
        # An unknown kind must not give an empty timeline.
        code, out, err = self.run_manage(
            'timeline', UNKNOWN_ID, '--kind', 'migration'
        )
        self.assertEqual((2, ''), (code, out))
        last = err.splitlines()[-1]
        self.assertIn("--kind: invalid choice: 'migration'", last)
        self.assertIn('live_migrate', last)

    def test_unknown_instance(self):
        self.open()
        self.assertEqual(
            f'minova-manage: Instance {UNKNOWN_ID} could not be found.\n',
            self.run_refused(1, 'timeline', UNKNOWN_ID),
        )

    def test_schema_is_missing(self):
        line = self.run_refused(1, 'timeline', UNKNOWN_ID)
        self.assertIn('run "minova-manage db sync"', line)


class AuditTest(ManageTestCase):
    """minova-manage audit; tests/functional has more."""

    def test_empty_database(self):
        self.open()
        self.assertEqual(
            'No host was checked. Found: 0, repaired: 0.\n',
            self.run_ok('audit', '--offline'),
        )

    def test_found_and_repaired(self):
        with Cloud() as cloud:
            uuid = cloud.boot(host='a')
        url = f'sqlite:///{self.path("minova.sqlite")}'
        self.assertEqual(url, self.url)
        database = self.open()
        database.write(
            lambda connection: connection.execute(
                tables.hosts.update().values(vcpus_used=3)
            )
        )
        code, out, err = self.run_manage('audit', '--offline', '--host', 'a')
        self.assertEqual((1, ''), (code, err))
        self.assertEqual(
            'error: host_usage_mismatch, invariant 9\n'
            '  host:      a\n'
            '  The usage of a host differs from the sum of its allocations.\n'
            '  The usage is 3 vcpus, 512 MiB, 1 GiB, the allocations sum to '
            '1 vcpus, 512 MiB, 1 GiB.\n'
            '  to do:     --repair (recompute_host_usage)\n'
            'No host was checked. Found: 1, repaired: 0.\n',
            out,
        )
        out = self.run_ok('audit', '--offline', '--repair')
        self.assertIn('Found: 2, repaired: 2.', out)
        self.assertIn('Found: 0', self.run_ok('audit', '--offline'))
        self.assertIsNotNone(uuid)

    def test_schema_is_missing(self):
        line = self.run_refused(1, 'audit', '--offline')
        self.assertIn('run "minova-manage db sync"', line)

    def test_invalid_transport(self):
        self.open()
        with open(self.file, 'a') as file:
            file.write('[DEFAULT]\ntransport_url = carrier-pigeon://\n')
        line = self.run_refused(2, 'audit')
        self.assertIn('transport_url is not usable', line)


class QuotaTest(ManageTestCase):
    """minova-manage quota."""

    def setUp(self):
        super().setUp()
        self.open()

    def limits(self, *words):
        lines = self.run_ok('quota', *words).splitlines()
        self.assertEqual(['RESOURCE', 'IN', 'USE', 'LIMIT'], lines[0].split())
        rows = [line.split() for line in lines[1:]]
        self.assertEqual({'0'}, {used for _, used, _ in rows})
        return {name: limit for name, _, limit in rows}

    def test_set_show_delete(self):
        before = self.limits('show', 'p')
        self.assertEqual(('10', '500'), (before['instances'], before['ports']))
        options = ('--instances', '50', '--cores', 'unlimited', '--ram', '-1')
        after = self.limits('set', 'p', *options, '--ports', '0')
        changes = {
            'instances': '50',
            'cores': 'unlimited',
            'ram': 'unlimited',
            'ports': '0',
        }
        self.assertEqual(before | changes, after)
        self.assertEqual(after, self.limits('show', 'p'))
        self.assertEqual(before, self.limits('show', 'other'))
        self.assertEqual(before, self.limits('delete', 'p'))

    def test_of_a_user(self):
        found = self.limits('set', 'p', '--user', 'u', '--cores', '5')
        self.assertEqual('5', found['cores'])
        self.assertNotIn('ports', found)
        self.assertEqual('20', self.limits('show', 'p')['cores'])
        self.assertEqual('5', self.limits('show', 'p', '--user', 'u')['cores'])

    def test_refusals(self):
        line = self.run_refused(
            1, 'quota', 'set', 'p', '--user', 'u', '--cores', '21'
        )
        self.assertIn('less than or equal to 20', line)
        self.limits('set', 'p', '--user', 'u', '--cores', '21', '--force')
        line = self.run_refused(
            1, 'quota', 'set', 'p', '--user', 'u', '--ports', '1'
        )
        self.assertIn('of a project, not of a user', line)


class NetworkTest(ManageTestCase):
    """minova-manage network."""

    CREATE = ('network', 'create', 'private', '--cidr', '10.0.0.0/24')

    def setUp(self):
        super().setUp()
        self.database = self.open()

    def hold(self, network, address):
        port = ports.Port(
            clock.uuid4(),
            network,
            UNKNOWN_ID,
            'project',
            address,
            'fa:16:3e:00:00:01',
            clock.now(),
        )
        self.database.write(lambda c: ports.insert(c, [port]))

    def test_create_list_show_delete(self):
        out = self.run_ok(
            *self.CREATE,
            *('--bridge', 'br0', '--gateway', '10.0.0.9'),
            *('--dns', '9.9.9.9', '--dns', '1.1.1.1', '--mtu', '1400'),
            *('--pool', '10.0.0.5-10.0.0.10', '--project', 'p'),
        )
        made = re.fullmatch('Network private is created: (.{36})\n', out)
        self.assertIsNotNone(made, out)
        number = made[1]
        self.hold(number, '10.0.0.7')
        head, line = self.run_ok('network', 'list').splitlines()
        self.assertEqual(
            ['ID', 'NAME', 'CIDR', 'ATTACHMENT', 'IN', 'USE', 'PROJECT'],
            head.split(),
        )
        self.assertEqual(
            [number, 'private', '10.0.0.0/24', 'bridge', 'br0', '1/5', 'p'],
            line.split(),
        )
        for named in (number, 'private'):
            shown = self.run_ok('network', 'show', named)
            for text in (
                f'id       {number}',
                'attached bridge br0',
                'gateway  10.0.0.9',
                'dns      9.9.9.9 1.1.1.1',
                'mtu      1400',
                'filter   yes',
                'pool     10.0.0.5-10.0.0.10',
                'in use   1 of 5',
            ):
                self.assertIn(f'{text}\n', shown)
            self.assertIn(UNKNOWN_ID, shown)
        self.assertIn(
            f'is in use by: unknown ({UNKNOWN_ID}). Delete',
            self.run_refused(1, 'network', 'delete', 'private'),
        )
        self.database.write(lambda c: ports.release(c, UNKNOWN_ID))
        self.assertEqual(
            f'Network private is deleted: {number}\n',
            self.run_ok('network', 'delete', 'private'),
        )
        self.assertEqual(1, len(self.run_ok('network', 'list').splitlines()))

    def test_other_kinds(self):
        self.run_ok(
            *(*self.CREATE, '--libvirt-network', 'default'),
            '--no-port-security',
        )
        self.run_ok('network', 'create', 'trial', '--user')
        out = self.run_ok('network', 'list')
        self.assertIn('libvirt network default', out)
        self.assertIn('QEMU user network', out)
        self.assertIn('10.0.2.0/24', out)
        out = self.run_ok('network', 'show', 'private')
        for text in (
            *('dns      none', 'mtu      of the host', 'of 253'),
            'filter   no',
        ):
            self.assertIn(text, out)

    def test_refusals(self):
        self.assertIn(
            "'x' is not a CIDR",
            self.run_refused(
                1, *self.CREATE[:3], '--cidr', 'x', '--bridge', 'br0'
            ),
        )
        self.run_ok(*self.CREATE, '--bridge', 'br0')
        self.assertIn(
            'Network private exists',
            self.run_refused(1, *self.CREATE, '--bridge', 'br0'),
        )
        for name in ('show', 'delete'):
            self.assertIn(
                'Network lan could not be found',
                self.run_refused(1, 'network', name, 'lan'),
            )
        for words in (self.CREATE, (*self.CREATE, '--user', '--bridge', 'b')):
            code, _, err = self.run_manage(*words)
            self.assertEqual(2, code)
            self.assertIn('--bridge', err)


class RefusalsTest(ManageTestCase):
    """Errors are one line and an exit code."""

    def test_invalid_arguments(self):
        missing = 'the following arguments are required: '
        for words, text in (
            ([], f'minova-manage: error: {missing}COMMAND'),
            (['db'], f'minova-manage db: error: {missing}COMMAND'),
            (['host'], f'minova-manage host: error: {missing}COMMAND'),
            (['states'], f'minova-manage states: error: {missing}COMMAND'),
            (
                ['timeline'],
                f'minova-manage timeline: error: {missing}instance',
            ),
            (['hosts'], "argument COMMAND: invalid choice: 'hosts'"),
            (['db', 'up'], "argument COMMAND: invalid choice: 'up'"),
            (['db', 'sync', 'now'], 'unrecognized arguments: now'),
        ):
            code, out, err = self.run_manage(*words)
            self.assertEqual((2, ''), (code, out), words)
            self.assertIn(text, err.splitlines()[-1], words)
            self.assertTrue(err.startswith('usage: minova-manage'), words)

    def test_help_names_every_command(self):
        for words, commands in (
            (
                [],
                [
                    'db',
                    'host',
                    'broker',
                    'network',
                    'quota',
                    'operation',
                    'timeline',
                    'audit',
                    'notifications',
                    'archive',
                    'states',
                ],
            ),
            (['notifications'], ['list', 'replay', 'verify']),
            (['db'], ['sync', 'version']),
            (['host'], ['list', 'enroll', 'revoke']),
            (['network'], ['create', 'list', 'show', 'delete']),
            (['quota'], ['show', 'set', 'delete']),
            (['operation'], ['list', 'show', 'retry', 'abandon']),
            (['states'], ['draw', 'table']),
        ):
            out = self.run_ok(*words, '--help', files=[])
            found = re.findall('^    ([a-z]+)', out, re.MULTILINE)
            self.assertEqual(commands, found)

    def test_invalid_configuration(self):
        nowhere = self.path('nowhere')
        log = f'[DEFAULT]\nlog_file = {nowhere}/manage.log\n'
        for text, words in (
            ('', '[database] connection is not set'),
            ('connection\n', 'Failed to parse'),
            ('[api]\nosapi_compute_listen_port = high\n', 'listen_port'),
            (
                self.database_section('minova'),
                'is not a database URL; the form is',
            ),
            (self.database_section(self.url) + log, nowhere),
        ):
            file = self.write('wrong.conf', text)
            for command in (
                ['db', 'sync'],
                ['db', 'version'],
                ['host', 'list'],
                ['timeline', UNKNOWN_ID],
            ):
                line = self.run_refused(2, *command, files=[file])
                self.assertIn(words, line)

    def test_no_such_file(self):
        nowhere = self.path('nowhere')
        line = self.run_refused(2, 'db', 'sync', files=[nowhere])
        self.assertIn(nowhere, line)

    def test_no_configuration_file(self):
        line = self.run_refused(2, 'db', 'sync', files=[self.directory])
        self.assertIn(f"Is a directory: '{self.directory}'", line)

    def test_no_such_database(self):
        url = f'sqlite:///{self.path("nowhere/minova.sqlite")}'
        file = self.write('away.conf', self.database_section(url))
        line = self.run_refused(1, 'db', 'sync', files=[file])
        self.assertIn('unable to open database file', line)
