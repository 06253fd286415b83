# SPDX-License-Identifier: Apache-2.0
"""The all-in-one that a fuzz attacks: a process, its memory and its log."""

import contextlib
import os
import subprocess
import sys

from tests.fixtures import processes

_READY = 'timeline SERVER_ID'


class Process:
    """An all-in-one with fake hosts on free loopback ports."""

    def __init__(self, directory):
        self._data = os.path.join(directory, 'data')
        self._service = processes.Service(
            'allinone',
            'allinone',
            {},
            directory,
            (
                f'--data-dir={self._data}',
                '--port=0',
                '--hosts=2',
                '--hypervisor=fake',
            ),
        )

    @contextlib.contextmanager
    def started(self):
        """Run it; yield its URL and the administrator's password."""
        with self._service:
            self._service.wait_for(_READY)
            with open(os.path.join(self._data, 'openrc')) as file:
                values = dict(
                    line.removeprefix('export ').strip().split('=', 1)
                    for line in file
                    if '=' in line
                )
            url = values['OS_AUTH_URL'].strip('\'"')
            yield (
                url.removesuffix('/identity/v3'),
                values['OS_PASSWORD'].strip('\'"'),
            )

    def memory(self):
        """Return the resident memory in MiB."""
        return sum(map(resident, processes.processes.tree(self._service.pid)))

    def complaints(self):
        """Return the errors in the log."""
        return [
            line
            for line in self._service.log_text().splitlines()
            if ' ERROR ' in line or 'CRITICAL' in line or 'Traceback' in line
        ]

    def audit(self):
        """Return what the audit finds, '' if nothing."""
        ended = subprocess.run(
            [
                *(sys.executable, '-m', 'minova.cmd.manage'),
                *('--config-file', os.path.join(self._data, 'minova.conf')),
                *('audit', '--offline'),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return '' if ended.returncode == 0 else ended.stdout + ended.stderr


def resident(pid):
    """Return the resident memory of a process in MiB, 0 if it ended."""
    with (
        contextlib.suppress(OSError),
        open(f'/proc/{pid}/status', encoding='ascii') as file,
    ):
        for line in file:
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) / 1024
    return 0
