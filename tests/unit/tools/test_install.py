# SPDX-License-Identifier: Apache-2.0
"""What the scripts in tools show while they install, and when they give up."""

import pathlib
import re
import subprocess

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parents[1]
#: Scripts that install packages, and what they call to do so.
_SCRIPTS = ('demo.sh', 'rig.sh', 'test.sh')


class InstallTest(base.TestCase):
    def bash(self, script):
        """Run a script with the functions; return its code and stderr."""
        ended = subprocess.run(
            ['bash', '-euc', f'. tools/install.sh\n{script}'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual('', ended.stdout)
        return ended.returncode, ended.stderr

    def test_output_is_not_shown(self):
        code, said = self.bash('with_progress "Making a" echo WARNING: b')
        self.assertEqual(0, code)
        self.assertRegex(said, r'^\S*Making a\S*\n  done after \d+ s\n$')

    def test_output_is_shown_when_it_fails(self):
        code, said = self.bash(
            'with_progress "Making a" sh -c "echo b; exit 3"; echo on'
        )
        self.assertEqual(3, code)
        self.assertIn('\nb\nfailed after ', said)

    def test_the_last_line_is_shown_meanwhile(self):
        code, said = self.bash(
            'progress_interval=1\n'
            'with_progress "Making a" sh -c "echo b; echo c; sleep 2.5"'
        )
        self.assertEqual(0, code)
        self.assertRegex(said, r'\n +\d+ s  c\n')
        self.assertNotIn('b', said)

    def test_time_limit(self):
        code, said = self.bash(
            'install_limit=1\nwith_progress "Making a" sleep 20'
        )
        self.assertEqual(124, code)
        self.assertIn('It has not ended within 1 s.', said)


class PackagesTest(base.TestCase):
    def list_packages(self, function, release):
        """Return what a function prints for a release of Debian."""
        file = pathlib.Path(self.directory, 'os-release')
        file.write_text(release)
        return subprocess.run(
            [
                *('bash', '-euc'),
                f'. tools/install.sh\nos_release=$1\n{function}',
                *('bash', str(file)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.split()

    def libvirt_packages(self, release):
        return self.list_packages('libvirt_packages', release)

    def spice_packages(self, release):
        return self.list_packages('spice_packages', release)

    def test_each_release_has_its_packages(self):
        both = ['libvirt-daemon', 'libvirt-daemon-driver-qemu']
        drivers = ('network', 'nwfilter')
        more = [*both, *(f'libvirt-daemon-driver-{name}' for name in drivers)]
        self.assertEqual(both, self.libvirt_packages('VERSION_ID="12"\n'))
        self.assertEqual(more, self.libvirt_packages('VERSION_ID="13"\n'))
        self.assertEqual(more, self.libvirt_packages('ID=debian\n'))
        module = ['qemu-system-modules-spice']
        self.assertEqual([], self.spice_packages('VERSION_ID="12"\n'))
        self.assertEqual(module, self.spice_packages('VERSION_ID="13"\n'))
        self.assertEqual(module, self.spice_packages('ID=debian\n'))

    def test_bindep_has_what_the_scripts_install(self):
        listed = set(re.findall(r'(?m)^([a-z]\S+)', self.read('bindep.txt')))
        wanted = set(self.libvirt_packages('VERSION_ID="13"\n'))
        wanted |= set(self.spice_packages('VERSION_ID="13"\n'))
        for script in _SCRIPTS:
            text = self.read(f'tools/{script}').replace('\\\n', ' ')
            for words in re.findall(
                r'(?m)^(?:install_packages +|real_packages\+=\()([^)\n]*)',
                text.replace('\n    ', ' '),
            ):
                wanted |= set(re.findall(r'(?<!\S)[a-z][\w-]+', words))
        self.assertIn('rabbitmq-server', wanted)
        self.assertEqual(set(), wanted - listed)

    def read(self, name):
        return (ROOT / name).read_text()
