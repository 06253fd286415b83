# SPDX-License-Identifier: Apache-2.0
"""The samples in etc/ agree with the code, on every machine.

They are made as tox makes them, on a machine that is not this one. What a
library says of its own options changes with its releases; there only the
defaults are compared.
"""

import ast
import configparser
import difflib
import importlib.metadata
import os
import pathlib
import pkgutil
import re
import shlex
import subprocess
import sys

from minova import conf
from tests import base

ROOT = pathlib.Path(base.minova.__file__).parents[1]
ETC = ROOT / 'etc' / 'minova'
OURS = 'minova'

#: A sitecustomize that gives Python another host name and CPU count.
ELSEWHERE = """
import os
import socket
socket.gethostname = socket.getfqdn = lambda *args: 'elsewhere'
os.cpu_count = lambda: 4321
"""


def generate(environment, directory):
    """Generate a sample as an environment of tox does; return its text."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / 'tox.ini')
    words = shlex.split(tox[f'testenv:{environment}']['commands'])
    program = pathlib.Path(sys.executable).with_name(words[0])
    machine = pathlib.Path(directory, 'elsewhere')
    machine.mkdir()
    (machine / 'sitecustomize.py').write_text(ELSEWHERE)
    path = [str(machine), *filter(None, [os.environ.get('PYTHONPATH')])]
    made = pathlib.Path(directory, 'sample')
    done = subprocess.run(
        [program, *words[1:], '--output-file', made],
        cwd=ROOT,
        env=os.environ
        | {'PYTHONPATH': os.pathsep.join(path), 'HOME': str(machine)},
        capture_output=True,
        text=True,
    )
    missing = re.findall('Could not load (.+)', done.stderr)
    if missing:
        raise AssertionError(
            f'{missing} cannot be loaded; install minova[keystone]'
        )
    if done.returncode:
        raise AssertionError(done.stderr)
    return made.read_text()


def kept_text(name):
    """Return a sample of etc/, empty if it does not exist."""
    path = ETC / name
    return path.read_text() if path.exists() else ''


def parts(text):
    """Return the parts of a configuration by section and namespace."""
    found = {}
    section = whose = ''
    for line in text.splitlines():
        if line.startswith('['):
            section, whose = line.strip('[]'), ''
        elif line.startswith('# From '):
            whose = line.removeprefix('# From ')
        found.setdefault((section, whose), []).append(line)
    return found


def defaults(lines):
    """Return the options of a part with their defaults."""
    found = [re.match(r'#(\w+) = ?(.*)', line) for line in lines]
    return {one[1]: one[2] for one in found if one}


def common_defaults(old, new):
    """Return the options that both parts have, with the default of each."""
    old, new = defaults(old), defaults(new)
    both = sorted(set(old) & set(new))
    return tuple([f'{n} = {has[n]}' for n in both] for has in (old, new))


def namespaces():
    """Return the namespaces of the generator."""
    text = (ETC / 'minova-config-generator.conf').read_text()
    return re.findall('^namespace = (.+)$', text, re.MULTILINE)


class SamplesTest(base.TestCase):
    """etc/minova/*.sample."""

    def require_same(self, environment, name, kept, made):
        """Fail with the difference and the command that fixes it."""
        difference = '\n'.join(
            difflib.unified_diff(
                kept, made, f'etc/minova/{name}', 'the code', lineterm=''
            )
        )
        if difference:
            self.fail(
                f'etc/minova/{name} is not what the code says; '
                f'run tox -e {environment}\n{difference}'
            )

    def require_of_every_machine(self, text):
        traces = ('elsewhere', '4321', self.directory)
        leaks = [
            line
            for line in text.splitlines()
            if any(trace in line for trace in traces)
        ]
        self.assertEqual([], leaks, 'set sample_default')

    def test_configuration(self):
        name = 'minova.conf.sample'
        made = generate('genconfig', self.directory)
        self.require_of_every_machine(made)
        made = parts(made)
        kept = parts(kept_text(name))
        for text in (kept, made):
            libraries = {whose for _, whose in text} - {'', OURS}
            self.assertEqual(
                set(namespaces()) - {OURS}, libraries, 'run tox -e genconfig'
            )
        for part in sorted({*kept, *made}):
            old, new = kept.get(part, []), made.get(part, [])
            if part[1] != OURS:
                old, new = common_defaults(old, new)
            self.require_same('genconfig', name, old, new)

    def test_policy(self):
        name = 'policy.yaml.sample'
        made = generate('genpolicy', self.directory)
        self.require_of_every_machine(made)
        kept = kept_text(name)
        self.require_same(
            'genpolicy', name, kept.splitlines(), made.splitlines()
        )

    def test_every_group_of_minova(self):
        files = {one.name for one in pkgutil.iter_modules(conf.__path__)}
        groups = {module.__name__.split('.')[-1] for module in conf.GROUPS}
        self.assertEqual({'libraries', 'opts'}, files - groups)
        kept = parts(kept_text('minova.conf.sample'))
        for module in conf.GROUPS:
            part = (module.GROUP or 'DEFAULT', OURS)
            self.assertEqual(
                {option.dest for option in module.OPTIONS},
                set(defaults(kept.get(part, []))),
                part,
            )

    def test_every_oslo_library_that_is_imported(self):
        imported = set()
        for path in (ROOT / 'minova').rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [str(node.module)]
                else:
                    continue
                imported.update(name.partition('.')[0] for name in names)
        offered = {}
        points = importlib.metadata.entry_points(group='oslo.config.opts')
        for point in points:
            package = point.module.partition('.')[0]
            if package.startswith('oslo_'):
                offered.setdefault(package, set()).add(point.name)
        # The options of oslo.config name sources of configuration; those of
        # oslo.concurrency are about locks, which Minova does not use.
        imported -= {'oslo_config', 'oslo_concurrency'}
        left_out = {
            package
            for package in set(offered) & imported
            if not offered[package] & set(namespaces())
        }
        self.assertEqual(set(), left_out)
