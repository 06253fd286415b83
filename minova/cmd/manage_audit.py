# SPDX-License-Identifier: Apache-2.0
"""minova-manage audit: find violations of the invariants and repair them."""

import argparse
import contextlib
import dataclasses
import functools
import json
from typing import TypedDict

from minova import exception
from minova import images
from minova.audit import confirmed_scan
from minova.audit.confirmed_scan import Auditor
from minova.audit.confirmed_scan import Scan
from minova.audit.findings import Finding
from minova.audit.repair import Outcome
from minova.audit.repair import Repairer
from minova.cmd.commands import Commands
from minova.cmd.database import open_database
from minova.conf import CONF
from minova.engine.sender_keys import SenderKeys
from minova.flows import interfaces
from minova.rpc import queue_stats
from minova.rpc.compute import ComputeClients
from minova.rpc.oslo_bus import OsloBus
from minova.rpc.wakeups import Waker

_UNSUPPORTED_TRANSPORT = 'only a rabbit:// transport_url reports consumers'
#: The part of the time limit in which the hosts must answer, in each of two
#: scans.
_ANSWER_SHARE = 0.2

#: This repair requires --instance.
_NEEDS_INSTANCE = 'destroy_unknown_guest'


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_command('audit', run, timeout=600)
    parser.add_argument(
        '--repair', action='store_true', help='repair what is safe to repair'
    )
    parser.add_argument(
        '--json', action='store_true', help='print one JSON object'
    )
    parser.add_argument('--host', help='only findings on this host')
    parser.add_argument('--instance', help='only findings of this instance')
    parser.add_argument(
        '--offline',
        action='store_true',
        help='compare only the database; contact no host, no broker and no '
        'image service',
    )


class _JsonFinding(TypedDict):
    """A finding as --json prints it."""

    rule: str
    severity: str
    invariant: int | None
    host: str | None
    instance: str | None
    operation: str | None
    generation: int | None
    summary: str
    text: str
    repair: str | None
    repaired: bool
    outcome: str | None


class _JsonReport(TypedDict):
    """The object that --json prints."""

    findings: list[_JsonFinding]
    hosts_checked: list[str]
    hosts_not_checked: dict[str, str]
    queues_not_checked: str | None
    images_not_checked: str | None
    unrepaired: int


def run(arguments: argparse.Namespace) -> int:
    """Find violations of the invariants and repair them."""
    with contextlib.ExitStack() as stack:
        database = open_database()
        stack.callback(database.dispose)
        computes, waker, image_service, image_error = None, None, None, ''
        if not arguments.offline:
            image_service, image_error = _load_images()
            bus = OsloBus(service='manage')
            stack.callback(bus.close)
            signer = SenderKeys(database).signer(CONF.host)
            computes = ComputeClients(bus, signer)
            waker = Waker(interfaces.step_client(bus, signer))
        auditor = Auditor(
            database,
            computes,
            None if arguments.offline else queue_stats.get_queue_stats,
            confirmed_scan.RESCAN_DELAY,
            arguments.timeout * _ANSWER_SHARE,
            image_service.list_unfinished if image_service else None,
        )
        scan = auditor.scan()
        wanted = functools.partial(_is_wanted, arguments)
        scan = dataclasses.replace(
            scan, findings=list(filter(wanted, scan.findings))
        )
        if scan.broker_error:
            computes, waker = None, None
        repairer = Repairer(
            database,
            CONF.host,
            computes,
            waker,
            arguments.instance,
            images=image_service,
        )
        return _report(arguments, scan, repairer, image_error)


def _load_images() -> tuple[images.ImageService | None, str]:
    """Return the image service, or the error of its configuration."""
    try:
        return images.load(), ''
    except exception.ConfigInvalid as error:
        return None, str(error).rstrip('.')


def _is_wanted(arguments: argparse.Namespace, finding: Finding) -> bool:
    by_host = arguments.host in (None, finding.host)
    return by_host and arguments.instance in (None, finding.instance)


def _report(
    arguments: argparse.Namespace,
    scan: Scan,
    repairer: Repairer,
    image_error: str,
) -> int:
    results = []
    for finding in scan.findings:
        outcome = None
        if finding.is_fault:
            outcome = Outcome(False, finding.rule.advice)
            if arguments.repair:
                outcome = repairer.repair(finding)
        results.append((finding, outcome))
        if not arguments.json:
            _print(finding, outcome, arguments.repair)
    unrepaired = sum(o is not None and not o.is_repaired for _, o in results)
    is_incomplete = bool(scan.broker_error or scan.image_error)
    code = 1 if unrepaired or is_incomplete else 0
    image_error = image_error or scan.image_error
    unchecked_queues = scan.broker_error
    if not (scan.has_checked_queues or unchecked_queues or arguments.offline):
        unchecked_queues = _UNSUPPORTED_TRANSPORT
    if arguments.json:
        document = _as_json(
            results, scan, unrepaired, unchecked_queues, image_error
        )
        print(json.dumps(document, indent=2))
        return code
    if unchecked_queues:
        print(f'The queues were not checked: {unchecked_queues}.')
    if image_error:
        print(f'The images were not checked: {image_error}.')
    coverage = (
        'No host was checked'
        if arguments.offline
        else _describe_coverage(scan)
    )
    faults = sum(o is not None for _, o in results)
    print(f'{coverage}. Found: {faults}, repaired: {faults - unrepaired}.')
    return code


def _describe_coverage(scan: Scan) -> str:
    total = len(scan.checked_hosts) + len(scan.unchecked_hosts)
    return f'{len(scan.checked_hosts)} of {total} hosts were checked'


def _print(finding: Finding, outcome: Outcome | None, repair: bool) -> None:
    rule = finding.rule
    invariant = f', invariant {rule.invariant}' if rule.invariant else ''
    print(f'{rule.severity.value}: {rule.name}{invariant}')
    for label in ('instance', 'host', 'operation'):
        value = getattr(finding, label)
        if value is not None:
            print(f'  {label + ":":<10} {value}')
    print(f'  {rule.summary}')
    print(f'  {finding.text}')
    if outcome is None:
        return
    if outcome.is_repaired:
        print(f'  repaired:  {outcome.text}')
    elif finding.repair not in ('', _NEEDS_INSTANCE) and not repair:
        print(f'  to do:     --repair ({finding.repair})')
    else:
        print(f'  to do:     {outcome.text}')


def _as_json(
    results: list[tuple[Finding, Outcome | None]],
    scan: Scan,
    unrepaired: int,
    unchecked_queues: str,
    unchecked_images: str,
) -> _JsonReport:
    return {
        'findings': [
            {
                'rule': finding.name,
                'severity': finding.rule.severity.value,
                'invariant': finding.rule.invariant or None,
                'host': finding.host,
                'instance': finding.instance,
                'operation': finding.operation,
                'generation': finding.generation,
                'summary': finding.rule.summary,
                'text': finding.text,
                'repair': finding.repair or None,
                'repaired': outcome is not None and outcome.is_repaired,
                'outcome': outcome.text if outcome else None,
            }
            for finding, outcome in results
        ],
        'hosts_checked': scan.checked_hosts,
        'hosts_not_checked': scan.unchecked_hosts,
        'queues_not_checked': unchecked_queues or None,
        'images_not_checked': unchecked_images or None,
        'unrepaired': unrepaired,
    }
