# SPDX-License-Identifier: Apache-2.0
"""The systemd units and the accounts that they use."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess

from minova.conf import CONF
from tests import base

ROOT = pathlib.Path(base.minova.__file__).parents[1]
_UNITS = ROOT / 'etc' / 'systemd'
#: The services with a unit, and the account of each.
_ACCOUNTS = {
    'minova-api': 'minova',
    'minova-compute': 'minova-compute',
    'minova-conductor': 'minova',
    'minova-novncproxy': 'minova',
}
#: What the sandbox of each service has at least.
_SANDBOX = {
    'AmbientCapabilities': [''],
    'CapabilityBoundingSet': [''],
    'KillMode': ['mixed'],
    'LockPersonality': ['yes'],
    'NoNewPrivileges': ['yes'],
    'NotifyAccess': ['main'],
    'PrivateTmp': ['yes'],
    'ProtectControlGroups': ['yes'],
    'ProtectHome': ['yes'],
    'ProtectKernelModules': ['yes'],
    'ProtectKernelTunables': ['yes'],
    'ProtectSystem': ['strict'],
    'Restart': ['on-failure'],
    'RestartPreventExitStatus': ['2'],
    'RestrictNamespaces': ['yes'],
    'SystemCallArchitectures': ['native'],
    'Type': ['notify'],
    'UMask': ['0077'],
}
#: The highest exposure that ``systemd-analyze security`` may find, of 100.
_EXPOSURE = {'minova-compute': 25}
_USUAL_EXPOSURE = 20


def read(path):
    """Return the settings of a unit: lists of values by section and name."""
    found, section = {}, None
    for line in path.read_text().splitlines():
        if line.startswith('['):
            section = found.setdefault(line.strip('[]'), {})
        elif line and not line.startswith('#'):
            name, _, value = line.partition('=')
            section.setdefault(name, []).append(value)
    return found


class UnitsTest(base.TestCase):
    """Each service that runs in a cloud has a unit."""

    def setUp(self):
        super().setUp()
        self.units = {
            path.name.removesuffix('.service'): read(path)
            for path in _UNITS.iterdir()
        }

    def test_services(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        scripts = setup['entry_points']['console_scripts']
        commands = set(re.findall(r'^(\S+) =', scripts, re.MULTILINE))
        self.assertEqual(set(), set(_ACCOUNTS) - commands)
        self.assertEqual(set(_ACCOUNTS), set(self.units))
        for name, unit in self.units.items():
            self.assertEqual(
                [f'/opt/minova/bin/{name}'], unit['Service']['ExecStart']
            )

    def test_package_has_the_files(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        listed = dict(
            line.split(' = ')
            for line in setup['files']['data_files'].strip().splitlines()
        )
        for target, source in (
            ('lib/systemd/system', 'etc/systemd'),
            ('lib/sysusers.d', 'etc/sysusers.d'),
            ('lib/tmpfiles.d', 'etc/tmpfiles.d'),
        ):
            self.assertEqual(f'{source}/*', listed[target])
            self.assertNotEqual([], list((ROOT / source).iterdir()))

    def test_accounts(self):
        made = set()
        for path in (ROOT / 'etc' / 'sysusers.d').iterdir():
            made |= set(re.findall(r'^u (\S+) ', path.read_text(), re.M))
        self.assertEqual(set(_ACCOUNTS.values()), made)
        for name, unit in self.units.items():
            account = _ACCOUNTS[name]
            self.assertEqual([account], unit['Service']['User'])
            self.assertEqual([account], unit['Service']['Group'])
            self.assertEqual([account], unit['Service']['StateDirectory'])
            self.assertEqual([account], unit['Service']['LogsDirectory'])

    def test_sandbox(self):
        for name, unit in self.units.items():
            settings = unit['Service']
            found = {key: settings.get(key) for key in _SANDBOX}
            self.assertEqual(_SANDBOX, found, name)
            self.assertEqual(
                '@system-service', settings['SystemCallFilter'][0]
            )
            self.assertIn('~@privileged', settings['SystemCallFilter'][1])
            families = settings['RestrictAddressFamilies'][0].split()
            self.assertLessEqual(
                {'AF_UNIX', 'AF_INET', 'AF_INET6'}, set(families)
            )
            self.assertNotIn('AF_PACKET', families)
            mode = settings['StateDirectoryMode'][0]
            self.assertEqual('0', mode[-1], name)
            self.assertGreaterEqual(int(settings['LimitNOFILE'][0]), 65536)

    def test_compute_shares_directories_with_qemu(self):
        settings = self.units['minova-compute']['Service']
        # It would refuse the set-group-id bit of directories.
        self.assertNotIn('RestrictSUIDSGID', settings)
        self.assertIn('@chown', settings['SystemCallFilter'])
        self.assertEqual(['/dev/kvm rw'], settings['DeviceAllow'])
        self.assertIn(
            'AF_NETLINK', settings['RestrictAddressFamilies'][0].split()
        )
        self.assertEqual(['0710'], settings['StateDirectoryMode'])

    def test_time_limits(self):
        for name, unit in self.units.items():
            settings = {
                key: int(unit['Service'][key][0])
                for key in ('TimeoutStopSec', 'TimeoutStartSec', 'WatchdogSec')
            }
            # The master replaces a worker before systemd ends the service.
            self.assertGreaterEqual(
                settings['WatchdogSec'], CONF.worker_timeout + 45, name
            )
            self.assertGreater(settings['TimeoutStopSec'], 60 + 4, name)
            # A start is extended every ten seconds.
            self.assertGreater(settings['TimeoutStartSec'], 30, name)

    def test_systemd_accepts_the_units(self):
        if shutil.which('systemd-analyze') is None:
            # The other tests read the units.
            return
        for name in self.units:
            # The service is not installed here.
            text = (_UNITS / f'{name}.service').read_text()
            path = os.path.join(self.directory, f'{name}.service')
            with open(path, 'w') as file:
                file.write(
                    text.replace(f'/opt/minova/bin/{name}', '/bin/true')
                )
            done = self._analyze('verify', '--man=no', path)
            self.assertEqual(('', 0), (done.stderr, done.returncode))
            threshold = _EXPOSURE.get(name, _USUAL_EXPOSURE)
            done = self._analyze(
                'security', '--offline=true', f'--threshold={threshold}', path
            )
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def _analyze(self, *words):
        return subprocess.run(
            ['systemd-analyze', '--no-pager', *words],
            capture_output=True,
            text=True,
        )
