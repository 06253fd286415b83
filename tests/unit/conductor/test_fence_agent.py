# SPDX-License-Identifier: Apache-2.0
"""Fence agents and commands, as real programs."""

import os

import fixtures

from minova import clock
from minova import exception
from minova.conductor import fence_agent
from minova.conf import CONF
from minova.conf import fencing
from tests import base

#: Prints its options, and answers as an agent of a host that is off.
_AGENT = """
options=$(cat)
echo "$options" | tr '\\n' ' '
case "$options" in
    *action=off*) exit 0 ;;
    *action=status*) exit %s ;;
esac
exit 1
"""


class FenceAgentTest(base.TestCase):
    """A program in a temporary directory, for the hosts node*."""

    def setUp(self):
        super().setUp()
        folder = self.useFixture(fixtures.TempDir()).path
        self.program = os.path.join(folder, 'fence_test')

    def write(self, script, kind='commands', arguments=''):
        with open(self.program, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n{script}\n')
        os.chmod(self.program, 0o755)
        self.config(
            group='fencing', **{kind: [f'node*: {self.program} {arguments}']}
        )

    def fence(self):
        rule = fencing.find_rule(CONF.fencing, 'node7')
        return fence_agent.fence(rule, 'node7')

    def failure(self):
        return str(self.assertRaises(exception.FenceFailed, self.fence))

    def test_options_of_an_agent(self):
        self.write(_AGENT % 2, 'agents', 'ip={host}-bmc passwd=hunter2')
        result = self.fence()
        self.assertEqual(
            ('node7', 'fence_test', 0, 'ip=node7-bmc passwd=*** action=off'),
            (result.host, result.agent, result.exit_code, result.output),
        )

    def test_agent_whose_host_stays_on(self):
        self.write(_AGENT % 0, 'agents', 'ip=x')
        self.assertIn(
            'fence_test action=status says that the host is still on',
            self.failure(),
        )

    def test_agent_without_status(self):
        self.write(_AGENT % 1, 'agents', 'ip=x')
        self.assertIn('action=status ended with exit code 1', self.failure())

    def test_command(self):
        self.write('echo "$1 $2"', arguments="off '{host} now'")
        self.assertEqual('off node7 now', self.fence().output)

    def test_command_that_fails(self):
        self.write('seq 1 9999 >&2; exit 3')
        text = self.failure()
        self.assertIn('fence_test ended with exit code 3: ', text)
        self.assertLess(len(text), 700)

    def test_command_that_hangs_with_its_children(self):
        self.config(group='fencing', timeout=0.3)
        self.write('sleep 61 & echo $! > "$0.child"; sleep 61')
        began = clock.monotonic()
        self.assertIn('has not ended within 0.3 s', self.failure())
        self.assertLess(clock.monotonic() - began, 20)
        with open(f'{self.program}.child', encoding='utf-8') as file:
            child = int(file.read())
        for _ in range(100):
            if not is_running(child):
                return
            clock.sleep(0.05)
        self.fail('the child of the program still runs')

    def test_missing_program(self):
        self.config(group='fencing', commands=['*: /no/such/fence'])
        self.assertIn('fence cannot be run', self.failure())

    def test_the_first_rule_counts(self):
        self.config(
            group='fencing',
            agents=['rack1-?: fence_a x=1', '*-2: fence_b x=2'],
            commands=['*: last {host}'],
        )
        found = [
            fencing.find_rule(CONF.fencing, host).program
            for host in ('rack1-2', 'rack2-2', 'rack2-3')
        ]
        self.assertEqual(['fence_a', 'fence_b', 'last'], found)

    def test_no_rule(self):
        self.assertIsNone(fencing.find_rule(CONF.fencing, 'node7'))

    def test_malformed_rules(self):
        for kind, text, expected in (
            ('commands', 'node7 /bin/off', 'HOST: PROGRAM'),
            ('commands', 'node7:', 'HOST: PROGRAM'),
            ('commands', 'node7: "x', 'No closing quotation'),
            ('agents', 'node7: fence_x lanplus', 'write NAME=VALUE'),
            ('agents', 'node7: fence_x action=on', 'is set by Minova'),
        ):
            error = self.assertRaises(
                ValueError,
                self.config,
                group='fencing',
                **{kind: [text]},
            )
            self.assertIn(expected, str(error))


def is_running(process):
    try:
        with open(f'/proc/{process}/stat', encoding='utf-8') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
