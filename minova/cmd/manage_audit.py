# SPDX-License-Identifier: Apache-2.0
"""minova-manage audit: what breaks the laws, and its repair."""

import argparse
import contextlib
import dataclasses
import functools
import json
from typing import Any

from minova import exception
from minova.audit import looks
from minova.audit.findings import Finding
from minova.audit.looks import Auditor
from minova.audit.looks import Look
from minova.audit.repair import Outcome
from minova.audit.repair import Repairs
from minova.cmd.commands import Commands
from minova.cmd.database import current
from minova.conf import CONF
from minova.rpc import conductor
from minova.rpc import queues
from minova.rpc.compute import Computes
from minova.rpc.oslo import OsloBus
from minova.rpc.queue import Queue
from minova.rpc.wakes import Waker

_CANNOT_TELL = 'only a rabbit:// transport can tell who listens.'

#: This repair wants the instance to be named.
_BY_NAME = 'put_away_stranger'


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.command('audit', run)
    parser.add_argument(
        '--repair', action='store_true', help='repair what can be repaired'
    )
    parser.add_argument(
        '--json', action='store_true', help='print one JSON object'
    )
    parser.add_argument('--host', help='only what is found at this host')
    parser.add_argument('--instance', help='only what is found of this one')
    parser.add_argument(
        '--offline',
        action='store_true',
        help='compare the database with itself; ask no host and no broker',
    )


class _Asked:
    """What the broker said of queues; remembers why it did not."""

    def __init__(self) -> None:
        self.why_not = ''

    def look(self, names: list[str]) -> dict[str, Queue | None] | None:
        self.why_not = ''
        found = None
        try:
            found = queues.look(names)
        except exception.Unavailable as error:
            self.why_not = str(error)
        if found is None and not self.why_not:
            self.why_not = _CANNOT_TELL
        return found


def run(arguments: argparse.Namespace) -> int:
    """Find what breaks the laws, on hosts and in the database; repair it."""
    with contextlib.ExitStack() as stack:
        database = current()
        stack.callback(database.dispose)
        computes, waker = None, None
        asked = _Asked()
        if not arguments.offline:
            bus = OsloBus()
            stack.callback(bus.close)
            computes = Computes(bus)
            waker = Waker(computes, conductor.client(bus))
        auditor = Auditor(
            database,
            computes,
            None if arguments.offline else asked.look,
            looks.PAUSE,
        )
        look = auditor.look()
        wanted = functools.partial(_is_wanted, arguments)
        look = dataclasses.replace(
            look, findings=list(filter(wanted, look.findings))
        )
        repairs = Repairs(
            database, CONF.host, computes, waker, arguments.instance
        )
        return _tell(arguments, look, repairs, asked.why_not)


def _is_wanted(arguments: argparse.Namespace, finding: Finding) -> bool:
    by_host = arguments.host in (None, finding.host)
    return by_host and arguments.instance in (None, finding.instance)


def _tell(
    arguments: argparse.Namespace, look: Look, repairs: Repairs, why_not: str
) -> int:
    told = []
    for finding in look.findings:
        outcome = None
        if finding.is_fault:
            outcome = Outcome(False, finding.rule.advice)
            if arguments.repair:
                outcome = repairs.repair(finding)
        told.append((finding, outcome))
        if not arguments.json:
            _print(finding, outcome, arguments.repair)
    left = sum(o is not None and not o.repaired for _, o in told)
    if arguments.json:
        print(json.dumps(_as_json(told, look, left), indent=2))
        return 1 if left else 0
    if why_not:
        print(f'The queues were not looked at: {why_not}')
    asked = 'No host was asked' if arguments.offline else _asked(look)
    faults = sum(o is not None for _, o in told)
    print(f'{asked}. Found: {faults}, repaired: {faults - left}.')
    return 1 if left else 0


def _asked(look: Look) -> str:
    every = len(look.asked) + len(look.not_asked)
    return f'{len(look.asked)} of {every} hosts were asked'


def _print(finding: Finding, outcome: Outcome | None, repair: bool) -> None:
    rule = finding.rule
    law = f', law {rule.law}' if rule.law else ''
    print(f'{rule.severity.value}: {rule.name}{law}')
    for label in ('instance', 'host', 'operation'):
        value = getattr(finding, label)
        if value is not None:
            print(f'  {label + ":":<10} {value}')
    print(f'  {rule.what}')
    print(f'  {finding.text}')
    if outcome is None:
        return
    if outcome.repaired:
        print(f'  repaired:  {outcome.text}')
    elif finding.repair not in ('', _BY_NAME) and not repair:
        print(f'  to do:     --repair ({finding.repair})')
    else:
        print(f'  to do:     {outcome.text}')


def _as_json(
    told: list[tuple[Finding, Outcome | None]], look: Look, left: int
) -> dict[str, Any]:
    return {
        'findings': [
            {
                'rule': finding.name,
                'severity': finding.rule.severity.value,
                'law': finding.rule.law or None,
                'host': finding.host,
                'instance': finding.instance,
                'operation': finding.operation,
                'generation': finding.generation,
                'what': finding.rule.what,
                'text': finding.text,
                'repair': finding.repair or None,
                'repaired': outcome is not None and outcome.repaired,
                'outcome': outcome.text if outcome else None,
            }
            for finding, outcome in told
        ],
        'hosts_asked': look.asked,
        'hosts_not_asked': look.not_asked,
        'left': left,
    }
