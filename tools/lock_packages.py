# SPDX-License-Identifier: Apache-2.0
"""Write constraints.txt and tools/locked: the exact versions of packages.

constraints.txt has the run-time dependencies of Minova with all extras, for
``pip install -c``. Each file of tools/locked has what one script or fixture
installs, with the sha256 of each file, which the installer compares. All are
for Python 3.11 to 3.13. ``tox -e constraints`` runs this with uv.
"""

from collections.abc import Iterable
import configparser
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
CONSTRAINTS = ROOT / 'constraints.txt'
LOCKED = ROOT / 'tools' / 'locked'
_HEADER = '# Written by tools/lock_packages.py; run tox -e constraints.\n'
#: The oldest supported Python.
_PYTHON = '3.11'


def runtime_requirements() -> list[str]:
    """Return the requirements of Minova with all extras."""
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    for extra in setup['extras'].values():
        lines += extra.splitlines()
    return [line for line in lines if line and not line.startswith('#')]


#: What each file of tools/locked has, beside the dependencies of these.
LOCKS = {
    'uv': ['uv'],
    'tox': ['tox>=4.11', 'tox-uv'],
    'demo': [
        *runtime_requirements(),
        'fixtures>=4.1.0',
        'python-openstackclient>=10.0.0',
        'testtools>=2.7.0',
    ],
    'keystone': ['keystone==30.0.0', 'gunicorn==23.0.0'],
    'glance': ['glance==33.0.0', 'gunicorn==23.0.0'],
    'audit': ['pip-audit>=2.10'],
}
#: The files whose versions others have too.
_SAME_AS = {'tox': LOCKED / 'uv.txt', 'demo': CONSTRAINTS}


def _compile(requirements: Iterable[str], *options: str) -> str:
    """Return the pinned packages that uv selects."""
    uv = shutil.which('uv') or ROOT / '.venv' / 'bin' / 'uv'
    ended = subprocess.run(
        [
            *(os.fspath(uv), 'pip', 'compile', '-', '--quiet', '--upgrade'),
            *('--universal', f'--python-version={_PYTHON}'),
            *('--no-header', '--no-annotate', *options),
        ],
        cwd=ROOT,
        input='\n'.join(requirements),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(ended.returncode)
    return _HEADER + ended.stdout


def main() -> None:
    """Write all files; a failure of uv ends with its exit code."""
    CONSTRAINTS.write_text(_compile(runtime_requirements()))
    LOCKED.mkdir(exist_ok=True)
    for name, requirements in LOCKS.items():
        options = ['--generate-hashes']
        if name in _SAME_AS:
            options.append(f'--constraints={_SAME_AS[name]}')
        (LOCKED / f'{name}.txt').write_text(_compile(requirements, *options))


if __name__ == '__main__':
    main()
