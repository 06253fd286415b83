# SPDX-License-Identifier: Apache-2.0
"""The all-in-one that a fuzz attacks: a process, its memory and its log."""

import contextlib
import os
import subprocess
import sys
import time

from tests.fixtures import processes

_READY = 'timeline SERVER_ID'
_START_SECONDS = 300


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
            self._wait_until_ready()
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

    def _wait_until_ready(self):
        """Wait longer than other tests do: a fuzz may have a low priority."""
        until = time.monotonic() + _START_SECONDS
        while _READY not in self._service.log_text():
            if time.monotonic() > until:
                raise AssertionError(self._service.log_text()[-3000:])
            time.sleep(0.1)

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
