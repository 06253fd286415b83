# SPDX-License-Identifier: Apache-2.0
"""What tools/audit_packages.py makes of the answers of pip-audit."""

import json
import os
import pathlib
import subprocess
import sys

from tests import base

_TOOL = 'tools/audit_packages.py'
ROOT = pathlib.Path(base.minova.__file__).parents[1]
#: A pip-audit that answers about each package of its file.
_PROGRAM = """\
#!{python}
import json, pathlib, sys
answer = json.loads(pathlib.Path({answer!r}).read_text())
lines = pathlib.Path(sys.argv[sys.argv.index('--requirement') + 1])
found = []
for line in lines.read_text().split():
    name, version = line.split('==')
    found.append({{'name': name, 'version': version}} | answer)
print(json.dumps({{'dependencies': found}}))
"""


class AuditPackagesTest(base.TestCase):
    """tools/audit_packages.py, with a pip-audit of the test."""

    def run_tool(self, program):
        """Return the exit code and the lines of the output."""
        path = pathlib.Path(self.directory, 'pip-audit')
        path.write_text(program)
        path.chmod(0o755)
        ended = subprocess.run(
            [sys.executable, ROOT / _TOOL],
            env=os.environ | {'PATH': f'{self.directory}:/usr/bin:/bin'},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual('', ended.stderr)
        return ended.returncode, ended.stdout.splitlines()

    def run_with_answer(self, **answer):
        file = pathlib.Path(self.directory, 'answer')
        file.write_text(json.dumps(answer))
        return self.run_tool(
            _PROGRAM.format(python=sys.executable, answer=str(file))
        )

    def test_no_advisory(self):
        code, (line,) = self.run_with_answer(vulns=[])
        self.assertEqual(0, code)
        self.assertIn('packages without known advisories', line)

    def test_an_advisory(self):
        advisory = {
            'id': 'PYSEC-1',
            'aliases': ['CVE-2026-1'],
            'fix_versions': ['9.9'],
        }
        code, lines = self.run_with_answer(vulns=[advisory])
        self.assertEqual(1, code)
        self.assertRegex(
            lines[0],
            r'^alembic [\d.]+: PYSEC-1, CVE-2026-1; fixed in: 9\.9$',
        )

    def test_the_service_has_no_answers(self):
        """pip-audit itself ends with 0 and says that nothing was found."""
        code, (line,) = self.run_with_answer(skip_reason='not found')
        self.assertEqual(2, code)
        self.assertIn('packages were not checked', line)

    def test_no_service(self):
        code, (line,) = self.run_tool('#!/bin/sh\necho no route >&2; exit 1\n')
        self.assertEqual(2, code)
        self.assertIn('No version was checked', line)
        self.assertIn('no route', line)
