# SPDX-License-Identifier: Apache-2.0
"""constraints.txt and tools/locked: complete, in bounds, and compared."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import subprocess
import zipfile

from packaging import requirements
from packaging import utils

from tests import base
from tests.fixtures.servers import environments

ROOT = pathlib.Path(base.minova.__file__).parents[1]
_FILE = re.compile(r'^(\S+)==(\S+?)(?: ; (.+?))?(?: \\)?$')
_DOWNLOAD = re.compile(
    r'\b(?:curl|wget) |urlretrieve|\bgit clone\b|\bpip download\b'
    r'|ADD https?:|https?://\S+\.(?:img|iso|qcow2|tar|tgz|tar\.\w+|zip|whl)\b'
)


def load_tool():
    path = ROOT / 'tools' / 'lock_packages.py'
    spec = importlib.util.spec_from_file_location('lock_packages', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK_PACKAGES = load_tool()


class Pins(dict):
    """The versions in a file that apply to this Python, by name."""

    def __init__(self, path):
        super().__init__()
        self.without_hash = []
        name = None
        for line in path.read_text().splitlines():
            if line.startswith('#'):
                continue
            if '--hash=sha256:' in line:
                if name in self.without_hash:
                    self.without_hash.remove(name)
                continue
            found = _FILE.match(line)
            name = found[1]
            self.without_hash.append(name)
            marker = f'; {found[3]}' if found[3] else ''
            wanted = requirements.Requirement(f'{name}=={found[2]} {marker}')
            if wanted.marker is None or wanted.marker.evaluate():
                self[name] = found[2]

    def find_faults(self, wanted):
        """Yield what is missing or out of bounds, also of dependencies."""
        seen = set()
        waiting = [(text, '') for text in wanted]
        while waiting:
            text, extra = waiting.pop()
            need = requirements.Requirement(text)
            if need.marker and not need.marker.evaluate({'extra': extra}):
                continue
            name = utils.canonicalize_name(need.name)
            pinned = self.get(name)
            if pinned is None:
                yield f'{text}: missing'
                continue
            if not need.specifier.contains(pinned):
                yield f'{text}: {pinned}'
            for extra in (*need.extras, ''):
                if (name, extra) in seen:
                    continue
                seen.add((name, extra))
                waiting += [
                    (one, extra) for one in self._dependencies(name, pinned)
                ]

    def _dependencies(self, name, version):
        """Return the requirements of a package of this environment."""
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return []
        # The dependencies of another release may be others.
        return (found.version == version and found.requires) or []


class ConstraintsTest(base.TestCase):
    """constraints.txt."""

    def test_bounds_and_dependencies(self):
        pins = Pins(LOCK_PACKAGES.CONSTRAINTS)
        wanted = LOCK_PACKAGES.runtime_requirements()
        self.assertIn('PyMySQL>=1.1.0', wanted)
        self.assertIn('kombu>=5.7.0', wanted)
        self.assertEqual([], list(pins.find_faults(wanted)))
        self.assertIn('amqp', pins)  # of kombu

    def test_faults_are_found(self):
        pins = Pins(LOCK_PACKAGES.CONSTRAINTS)
        pins['kombu'] = '5.6.2'
        del pins['waitress']
        found = pins.find_faults(LOCK_PACKAGES.runtime_requirements())
        self.assertLessEqual(
            {'kombu>=5.7.0: 5.6.2', 'waitress>=3.0.2: missing'}, set(found)
        )


class LockedTest(base.TestCase):
    """tools/locked."""

    def test_each_file_has_hashes_and_its_packages(self):
        names = {path.stem for path in LOCK_PACKAGES.LOCKED.iterdir()}
        self.assertEqual(set(LOCK_PACKAGES.LOCKS), names)
        for name, wanted in LOCK_PACKAGES.LOCKS.items():
            pins = Pins(LOCK_PACKAGES.LOCKED / f'{name}.txt')
            self.assertEqual([], pins.without_hash, name)
            self.assertEqual([], list(pins.find_faults(wanted)), name)

    def test_the_demo_has_the_constraints(self):
        demo = Pins(LOCK_PACKAGES.LOCKED / 'demo.txt')
        constraints = Pins(LOCK_PACKAGES.CONSTRAINTS)
        self.assertEqual(constraints, {n: demo[n] for n in constraints})


class DownloadsTest(base.TestCase):
    """Scripts and fixtures get files from apt and PyPI only."""

    def test_no_other_downloads(self):
        found = [
            f'{path.relative_to(ROOT)}: {line.strip()}'
            for folder in ('tools', 'tests', 'devstack', 'minova/rig', '.ci')
            for path in sorted((ROOT / folder).rglob('*'))
            if path.suffix in ('', '.py', '.sh')
            and path.is_file()
            and path != pathlib.Path(__file__)
            for line in path.read_text().splitlines()
            if _DOWNLOAD.search(line)
        ]
        self.assertEqual([], found)

    def test_scripts_install_locked_packages(self):
        for path in (ROOT / 'tools').glob('*.sh'):
            for line in path.read_text().splitlines():
                if re.match(r'\s*make_environment ', line):
                    self.assertRegex(line, r' -[cr] tools/locked/\w+\.txt')


class PlantedFileTest(base.TestCase):
    """A file of PyPI that differs from its sha256 is not installed."""

    time_limit = 300

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.directory, 'checkout')
        self.locked = self.root / 'tools' / 'locked'
        self.locked.mkdir(parents=True)
        script = (ROOT / 'tools' / 'install.sh').read_text()
        (self.root / 'tools' / 'install.sh').write_text(script)
        self.wheel = self.make_wheel()

    def make_wheel(self):
        """Make a uv 1.0 that prints its arguments."""
        path = pathlib.Path(self.directory, 'uv-1.0-py3-none-any.whl')
        info = 'uv-1.0.dist-info'
        with zipfile.ZipFile(path, 'w') as file:
            program = zipfile.ZipInfo('uv-1.0.data/scripts/uv')
            program.external_attr = 0o100755 << 16
            file.writestr(program, '#!/bin/sh\necho "$@" >uv.log\n')
            file.writestr(
                f'{info}/METADATA',
                'Metadata-Version: 2.1\nName: uv\nVersion: 1.0\n',
            )
            file.writestr(
                f'{info}/WHEEL',
                'Wheel-Version: 1.0\nGenerator: test\n'
                'Root-Is-Purelib: true\nTag: py3-none-any\n',
            )
            file.writestr(f'{info}/RECORD', '')
        return path

    def install(self, sha256):
        """Run make_environment; return its exit code and stderr."""
        (self.locked / 'uv.txt').write_text(
            f'uv==1.0 --hash=sha256:{sha256}\n'
        )
        python = pathlib.Path(environments.base_python()).parent
        ended = subprocess.run(
            [
                *('bash', '-euc'),
                '. tools/install.sh\nmake_environment -r locked.txt',
            ],
            cwd=self.root,
            env={
                'PATH': f'{python}:{os.environ["PATH"]}',
                'PIP_CONFIG_FILE': '/dev/null',
                'PIP_NO_INDEX': '1',
                'PIP_FIND_LINKS': str(self.directory),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=250,
        )
        return ended.returncode, ended.stderr

    def test_planted_file(self):
        right = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        wrong = hashlib.sha256(b'another file').hexdigest()
        code, said = self.install(wrong)
        self.assertEqual(1, code, said)
        self.assertIn('DO NOT MATCH THE HASHES', said)
        self.assertIn(f'Expected sha256 {wrong}', said)
        self.assertIn(right, said)
        self.assertFalse((self.root / '.venv/bin/uv').exists())
        code, said = self.install(right)
        self.assertEqual(0, code, said)
        self.assertIn('-r locked.txt', (self.root / 'uv.log').read_text())
