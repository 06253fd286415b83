# SPDX-License-Identifier: Apache-2.0
"""Compare the versions in constraints.txt with the known advisories.

pip-audit asks PyPI, or with ``--vulnerability-service osv`` another service;
the arguments are passed to it. ``tox -e audit`` runs this.

Exit codes: 0 no advisory concerns a version; 1 an advisory does; 2 at least
one version was not checked, because the service did not answer about it.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
_PIN = re.compile(r'([\w.-]+)==([\w.!+]+)')
#: The longest list of unchecked packages in the output.
_SHOWN = 5


def read_pins(text: str) -> list[tuple[str, str]]:
    """Return name and version of each line, for all Pythons."""
    return [
        (found[1], found[2])
        for line in text.splitlines()
        if (found := _PIN.match(line))
    ]


def rounds(pins: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Distribute the pins so that each round has one version of a name."""
    found: list[dict[str, str]] = []
    for name, version in pins:
        for versions in found:
            if versions.setdefault(name, version) == version:
                break
        else:
            found.append({name: version})
    return found


def ask(versions: dict[str, str], arguments: list[str]) -> list[Any]:
    """Return the answers about packages; exit with 2 without an answer."""
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        file.writelines(f'{n}=={v}\n' for n, v in versions.items())
        file.flush()
        ended = subprocess.run(
            [
                *('pip-audit', '--requirement', file.name, '--no-deps'),
                *('--disable-pip', '--format', 'json', '--progress-spinner'),
                *('off', *arguments),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        answers: list[Any] = json.loads(ended.stdout)['dependencies']
    except (ValueError, KeyError):
        last = ended.stderr.strip().rpartition('\n')[2]
        print(f'No version was checked, because pip-audit failed: {last}')
        sys.exit(2)
    return answers


def report(answers: Iterable[Any]) -> Iterator[str]:
    """Yield a line for each advisory."""
    for answer in answers:
        for advisory in answer.get('vulns', ()):
            names = ', '.join([advisory['id'], *advisory.get('aliases', ())])
            fixed = ', '.join(advisory.get('fix_versions', ())) or 'none'
            yield (
                f'{answer["name"]} {answer["version"]}: {names}; '
                f'fixed in: {fixed}'
            )


def main(arguments: list[str]) -> int:
    """Print the advisories; return the exit code."""
    pins = read_pins((ROOT / 'constraints.txt').read_text())
    answers = [
        answer
        for versions in rounds(pins)
        for answer in ask(versions, arguments)
    ]
    lines = list(report(answers))
    for line in lines:
        print(line)
    checked = {one['name'] for one in answers if 'vulns' in one}
    unchecked = [name for name, _ in pins if name not in checked]
    if unchecked:
        names = ', '.join(unchecked[:_SHOWN])
        more = ', ...' if len(unchecked) > _SHOWN else ''
        print(
            f'{len(unchecked)} of {len(pins)} packages were not checked, '
            f'because the advisory service does not answer about them: '
            f'{names}{more}'
        )
    if lines:
        return 1
    if unchecked:
        return 2
    print(f'{len(pins)} packages without known advisories.')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
