# SPDX-License-Identifier: Apache-2.0
"""Generate the reference tables and diagrams from the code.

Writes, before the pages are read: the two state tables with their diagrams,
the steps of each flow, the two RPC contracts, the microversions, the findings
of an audit, the extra specs and the image properties.
"""

import pathlib

from minova import flows
from minova.api.http import microversion
from minova.audit import findings
from minova.cmd import diagrams
from minova.extra_specs import table as wishes
from minova.flows import interfaces
from minova.simulation.mutants import MUTANTS


def _contract(interface):
    rows = []
    for name, method in sorted(interface.methods().items()):
        way = 'call' if method.reply else 'cast'
        wait = f'{method.timeout:g} s' if method.reply else ''
        parameters = interface.parameters(name)
        rows.append(
            (name, way, method.since, wait, parameters, method.summary)
        )
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 26 6 6 8 28 40',
        '',
        '   * - method',
        '     - way',
        '     - since',
        '     - timeout',
        '     - arguments',
        '     - what it does',
    ]
    for name, way, since, wait, parameters, text in rows:
        lines += [
            f'   * - ``{name}``',
            f'     - {way}',
            f'     - {since}',
            f'     - {wait}',
            f'     - {", ".join(parameters)}',
            f'     - {text}',
        ]
    return '\n'.join(lines)


def _steps():
    lines = []
    listed = set()
    for kind, flow in flows.FLOWS.items():
        if flow.steps in listed or len(flow.steps) < 2:
            continue
        listed.add(flow.steps)
        kinds = [k for k, f in flows.FLOWS.items() if f.steps == flow.steps]
        title = ', '.join(kinds)
        lines += [title, '~' * len(title), '', '.. graphviz::', '']
        lines += [
            f'   {line}' for line in diagrams.flow_diagram(kind).splitlines()
        ]
        lines.append('')
    return '\n'.join(lines)


def _planted():
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 24 46 14 16',
        '',
        '   * - fault',
        '     - what is wrong then',
        '     - breaks',
        '     - looked for by',
    ]
    for one in MUTANTS:
        lines += [
            f'   * - ``{one.name}``',
            f'     - {one.what}',
            f'     - {one.invariant}',
            f'     - {", ".join(one.campaigns)}',
        ]
    return '\n'.join(lines)


def _microversions():
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 10 90',
        '',
        '   * - version',
        '     - what it changes here',
    ]
    for number, text in microversion.HISTORY.items():
        lines += [f'   * - 2.{number}', f'     - {text}']
    return '\n'.join(lines)


def _audit():
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 22 6 10 36 26',
        '',
        '   * - finding',
        '     - invariant',
        '     - severity',
        '     - what it is',
        '     - repair',
    ]
    for name, rule in findings.RULES.items():
        lines += [
            f'   * - ``{name}``',
            f'     - {rule.invariant or ""}',
            f'     - {rule.severity.value}',
            f'     - {rule.what}',
            f'     - {(rule.repair and f"``{rule.repair}``") or rule.advice}',
        ]
    return '\n'.join(lines)


def _wishes(rows):
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 26 24 30 20',
        '',
        '   * - name',
        '     - values',
        '     - meaning',
        '     - becomes',
    ]
    for spec in rows:
        lines += [
            f'   * - ``{spec.name}``',
            f'     - {spec.value_type.description}',
            f'     - {spec.description}',
            f'     - {spec.effect}',
        ]
    return '\n'.join(lines)


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
        'microversions.rst': _microversions(),
        'audit.rst': _audit(),
        'planted.rst': _planted(),
        'extra_specs.rst': _wishes(wishes.EXTRA_SPECS),
        'image_properties.rst': _wishes(wishes.IMAGE_PROPERTIES),
    }.items():
        path = folder / name
        if not path.exists() or path.read_text() != text + '\n':
            path.write_text(text + '\n')


def setup(app):
    """Register the generator with Sphinx."""
    app.connect('builder-inited', write)
    return {'parallel_read_safe': True}
