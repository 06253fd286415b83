# SPDX-License-Identifier: Apache-2.0
"""Every thread that must not end is a ``Loop``; the others are listed."""

import ast

from tests import base
from tests.unit.style.test_layers import ROOT
from tests.unit.style.test_layers import sources

#: The threads that end by themselves: module, and what each does.
SHORT_LIVED = {
    'serving/acceptor.py': {'the request of one connection'},
    'allinone/service.py': {'the stop of one service'},
    'audit/confirmed_scan.py': {'the questions to hosts of one audit'},
    'cancellation.py': {'one call that can be abandoned'},
    'cmd/time_limit.py': {'the time limit of one command'},
    'console/proxy.py': {'the close of one console'},
    'console/guest_connection.py': {'one console behind a listener'},
    'console/console_relay.py': {
        'one direction of a console',
        'the close of one console',
    },
    'loops.py': {'the loop itself'},
    'rpc/oslo_bus.py': {'the end of the calls of a service that stops'},
    'rpc/self_check.py': {'the stop of one RPC server'},
    'virt/fake/hypervisor.py': {'the calls of one client'},
    'virt/libvirt/connection_attempt.py': {'one attempt to connect'},
    'virt/libvirt/qemu/consoles.py': {
        'one serial console',
        'its input',
    },
    'virt/simulated_console.py': {'one simulated console'},
    'virt/libvirt/qemu/live_migration.py': {'one live migration'},
    'watchdog.py': {'the end of the workers at the limit'},
}


def _spawns(tree):
    """Give the calls of ``clock.spawn``."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ('spawn', 'serve_forever')
        ):
            yield node


class ThreadsTest(base.TestCase):
    """A new thread is a ``Loop`` or is in the list."""

    def test_threads(self):
        found = {}
        for path in sources():
            name = path.relative_to(ROOT).as_posix()
            if name.startswith('simulation/') or name == 'clock.py':
                continue
            count = len(list(_spawns(ast.parse(path.read_text()))))
            if count:
                found[name] = count
        expected = {name: len(what) for name, what in SHORT_LIVED.items()}
        self.assertEqual(expected, found)
