# SPDX-License-Identifier: Apache-2.0
"""Generate the reference tables and diagrams from the code.

Writes, before the pages are read: the two state tables with their diagrams,
the steps of each flow, the two RPC contracts, the microversions, the findings
of an audit, the mutants, the extra specs and the image properties.
"""

import pathlib

from minova import flows
from minova.api.http import microversion
from minova.audit import findings
from minova.cmd import diagrams
from minova.extra_specs import table as extra_specs
from minova.flows import interfaces
from minova.rpc import broker_accounts
from minova.simulation.mutants import MUTANTS


def _table(columns, rows):
    """Return a list table; ``columns`` maps each heading to its width."""
    widths = ' '.join(map(str, columns.values()))
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        f'   :widths: {widths}',
        '',
    ]
    for row in (columns, *rows):
        marks = ('   * -', *['     -'] * (len(columns) - 1))
        lines += [
            f'{mark} {cell}'.rstrip()
            for mark, cell in zip(marks, row, strict=True)
        ]
    return '\n'.join(lines)


def _contract(interface):
    return _table(
        {
            'method': 26,
            'way': 6,
            'since': 6,
            'timeout': 8,
            'callers': 14,
            'arguments': 24,
            'what it does': 36,
        },
        (
            (
                f'``{name}``',
                'call' if method.reply else 'cast',
                method.since,
                f'{method.timeout:g} s' if method.reply else '',
                ', '.join(method.callers).replace('_', ' '),
                ', '.join(interface.parameters(name)),
                method.summary,
            )
            for name, method in sorted(interface.methods().items())
        ),
    )


def _steps():
    lines = []
    drawn = set()
    for kind, flow in flows.FLOWS.items():
        if flow.steps in drawn or len(flow.steps) < 2:
            continue
        drawn.add(flow.steps)
        kinds = [k for k, f in flows.FLOWS.items() if f.steps == flow.steps]
        title = ', '.join(kinds)
        lines += [title, '=' * len(title), '', '.. graphviz::', '']
        lines += [
            f'   {line}' for line in diagrams.flow_diagram(kind).splitlines()
        ]
        lines.append('')
    return '\n'.join(lines)


def _mutants():
    return _table(
        {'mutant': 24, 'effect': 46, 'invariant': 14, 'campaigns': 16},
        (
            (
                f'``{mutant.name}``',
                mutant.description,
                mutant.invariant,
                ', '.join(mutant.campaigns),
            )
            for mutant in MUTANTS
        ),
    )


def _microversions():
    return _table(
        {'version': 10, 'change': 90},
        ((f'2.{n}', text) for n, text in microversion.HISTORY.items()),
    )


def _audit():
    return _table(
        {
            'finding': 22,
            'invariant': 6,
            'severity': 10,
            'meaning': 36,
            'repair, or what to do': 26,
        },
        (
            (
                f'``{name}``',
                rule.invariant or '',
                rule.severity.value,
                rule.summary,
                (rule.repair and f'``{rule.repair}``') or rule.advice,
            )
            for name, rule in findings.RULES.items()
        ),
    )


def _extra_specs(rows):
    return _table(
        {'name': 26, 'values': 24, 'meaning': 30, 'effect': 20},
        (
            (
                f'``{row.name}``',
                row.value_type.description,
                row.description,
                row.effect,
            )
            for row in rows
        ),
    )


def _broker_accounts():
    """Return the permissions of each account, with the default options."""
    notifications = broker_accounts.Notifications(
        'nova', ('notifications.info', 'notifications.error')
    )
    lines = []
    for service, account in broker_accounts.ACCOUNTS.items():
        host = 'HOST' if account.per_host else broker_accounts.ANY
        names = broker_accounts.Names()
        names.add(service, host, notifications)
        rows = {
            'configure': names.configure,
            'write': names.write,
            'read': names.read,
        }
        for exchange, (publish, bind) in names.topics.items():
            rows[f'publish to {exchange}'] = publish
            rows[f'bind to {exchange}'] = bind
        lines += [
            f'``{service}``: {account.purpose}',
            '',
            _table(
                {'permission': 24, 'names or routing keys': 76},
                (
                    (
                        permission,
                        ', '.join(map(_quote_name, sorted(set(found)))),
                    )
                    for permission, found in rows.items()
                    if found
                ),
            ),
            '',
        ]
    return '\n'.join(lines)


def _quote_name(name):
    name = name.replace(broker_accounts.ANY, '*')
    return f'``{name.replace(broker_accounts.PROCESS, "UUID")}``'


def write(app):
    """Write the files that the pages include."""
    folder = pathlib.Path(app.srcdir, '_generated')
    folder.mkdir(exist_ok=True)
    for name, text in {
        'states.rst': diagrams.instance_table(rst=True),
        'states.dot': diagrams.instance_diagram(),
        'migration_states.rst': diagrams.migration_table(rst=True),
        'migration_states.dot': diagrams.migration_diagram(),
        'state_names.rst': diagrams.name_table(rst=True),
        'steps.rst': _steps(),
        'conductor.rst': _contract(interfaces.CONDUCTOR),
        'compute.rst': _contract(interfaces.COMPUTE),
        'broker_accounts.rst': _broker_accounts(),
        'microversions.rst': _microversions(),
        'audit.rst': _audit(),
        'mutants.rst': _mutants(),
        'extra_specs.rst': _extra_specs(extra_specs.EXTRA_SPECS),
        'image_properties.rst': _extra_specs(extra_specs.IMAGE_PROPERTIES),
    }.items():
        path = folder / name
        if not path.exists() or path.read_text() != text + '\n':
            path.write_text(text + '\n')


def setup(app):
    """Register the generator with Sphinx."""
    app.connect('builder-inited', write)
    return {'parallel_read_safe': True}
