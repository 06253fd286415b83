#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs in the guest: reports the results of cloud-init on the console.

It waits for the end of cloud-init and writes lines of JSON in base64. It
repeats each line, because the kernel and others write in between.
"""

import base64
import json
import os
import pathlib
import socket
import subprocess
import time

_TIMES = 3
_RESULT = pathlib.Path('/run/cloud-init/result.json')


def said(*words):
    """Return the output of a program."""
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip()


def read(path):
    """Return the content of a file, '' if it is missing."""
    file = pathlib.Path(path)
    return file.read_text(encoding='utf-8').strip() if file.exists() else ''


def login():
    """Log in with the key over SSH; return the user name under sudo."""
    for _ in range(30):
        name = said(
            *('ssh', '-i', '/root/key', '-o', 'BatchMode=yes'),
            *('-o', 'StrictHostKeyChecking=no'),
            *(f'debian@{socket.gethostname()}', 'sudo', 'id', '-un'),
        )
        if name:
            return name
        time.sleep(2)
    return ''


def report():
    """Return the whole report."""
    result = json.loads(_RESULT.read_text(encoding='utf-8'))['v1']
    known = json.loads(read('/run/cloud-init/instance-data-sensitive.json'))
    root = os.statvfs('/')
    return {
        'boot': read('/proc/sys/kernel/random/boot_id'),
        'hostname': socket.gethostname(),
        'instance': read('/var/lib/cloud/data/instance-id'),
        'datasource': result['datasource'],
        'errors': result['errors'],
        'metadata': known['ds']['meta_data'].get('meta'),
        'links': json.loads(said('ip', '-json', 'address')),
        'routes': json.loads(said('ip', '-json', 'route')),
        'dns': said('resolvectl', 'dns'),
        'keys': read('/home/debian/.ssh/authorized_keys'),
        'host_key': read('/etc/ssh/ssh_host_ed25519_key.pub'),
        'login': login(),
        'runs': len(read('/root/runs').splitlines()),
        'root': root.f_blocks * root.f_frsize,
    }


if __name__ == '__main__':
    while not _RESULT.exists():
        time.sleep(1)
    found = json.dumps(report()).encode()
    # The reader may cut the power after this line.
    os.sync()
    for _ in range(_TIMES):
        with open('/dev/ttyS0', 'wb', buffering=0) as console:
            console.write(b'\nREPORT ' + base64.b64encode(found) + b'\n')
        time.sleep(1)
