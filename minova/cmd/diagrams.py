# SPDX-License-Identifier: Apache-2.0
"""The state tables and the flows, as tables and Graphviz diagrams."""

from collections.abc import Iterable
from collections.abc import Iterator

from minova import flows
from minova import migration_states
from minova import states
from minova.flows.base import ComputeStep

Row = tuple[str, ...]

_INSTANCE_COLUMNS = (
    'operation',
    'from',
    'task states',
    'ends in',
    'fails in',
    'ownership',
)
_MIGRATION_COLUMNS = ('status', 'passed by', 'may become', 'meaning')
_NAME_COLUMNS = ('vm_state', 'task_state', 'Compute API', 'EC2')

# -- tables ------------------------------------------------------------------


def instance_table(rst: bool = False) -> str:
    """Return the state table of instances as text."""
    return _format_table(_INSTANCE_COLUMNS, _instance_rows(), rst)


def migration_table(rst: bool = False) -> str:
    """Return the status table of migrations as text."""
    return _format_table(_MIGRATION_COLUMNS, _migration_rows(), rst)


def name_table(rst: bool = False) -> str:
    """Return what the Compute API and EC2 call each state, as text."""
    return _format_table(_NAME_COLUMNS, _name_rows(), rst)


def _format_table(columns: Row, rows: Iterable[Row], rst: bool) -> str:
    table = [columns, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]

    def line(row: Row) -> str:
        cells = (c.ljust(w) for c, w in zip(row, widths, strict=True))
        return '  '.join(cells).rstrip()

    lines = [line(row) for row in table]
    if rst:
        rule = '  '.join('=' * width for width in widths)
        return '\n'.join([rule, lines[0], rule, *lines[1:], rule])
    return '\n'.join(lines)


def _instance_rows() -> Iterator[Row]:
    for rule in states.TABLE.values():
        begins = ', '.join(rule.from_states)
        if rule.from_states == states.NOT_DELETED:
            begins = 'any'
        elif rule.from_states == states.VM_STATES:
            begins = 'any, deleted'
        yield (
            rule.kind,
            begins,
            ', '.join(rule.task_states) or '-',
            rule.success_state,
            rule.failure_state,
            rule.ownership.name.lower(),
        )


def _migration_rows() -> Iterator[Row]:
    for status in migration_states.TABLE.values():
        yield (
            status.name,
            ', '.join(status.kinds),
            ', '.join(status.next_statuses) or '-',
            status.meaning,
        )


def _name_rows() -> Iterator[Row]:
    """Return each vm_state, and the task states that change its names."""
    for vm_state in states.VM_STATES:
        stable = _names_of(vm_state, None)
        yield vm_state, '-', *stable
        passing = dict.fromkeys(
            task_state
            for rule in states.TABLE.values()
            if rule.owns_instance and vm_state in rule.from_states
            for task_state in rule.task_states
        )
        for task_state in passing:
            names = _names_of(vm_state, task_state)
            if names != stable:
                yield vm_state, task_state, *names


def _names_of(vm_state: str, task_state: str | None) -> tuple[str, str]:
    return (
        states.api_status(vm_state, task_state),
        states.ec2_state(vm_state, task_state),
    )


# -- diagrams ----------------------------------------------------------------


def instance_diagram() -> str:
    """Return the life of an instance in Graphviz's language."""
    edges: dict[tuple[str, str], list[str]] = {}
    for begin, end, kind in _instance_edges():
        # One edge stands for those from every state to deleted.
        if end != states.DELETED:
            edges.setdefault((begin, end), []).append(kind)
    used = sorted({state for edge in edges for state in edge})
    lines = [
        'digraph instance {',
        '  rankdir=LR; node [shape=box, style=rounded, fontname=sans];',
        '  edge [fontname=sans, fontsize=10];',
        *(f'  "{state}";' for state in used),
        '  "any" [style=dashed]; "deleted";',
        '  "any" -> "deleted" [label="delete\\nforce_delete"];',
    ]
    for (begin, end), kinds in sorted(edges.items()):
        label = '\\n'.join(kinds)
        lines.append(f'  "{begin}" -> "{end}" [label="{label}"];')
    return '\n'.join([*lines, '}'])


def _instance_edges() -> Iterator[tuple[str, str, str]]:
    """Return how operations lead from one vm_state to another."""
    for rule in states.TABLE.values():
        for begin in rule.from_states:
            if rule.success_state == states.ORIGIN:
                for origin in (states.ACTIVE, states.STOPPED):
                    yield begin, origin, rule.kind
            elif rule.success_state not in (states.SAME, begin):
                yield begin, rule.success_state, rule.kind


def migration_diagram() -> str:
    """Return the life of a migration in Graphviz's language."""
    failures = (migration_states.CANCELLED, migration_states.ERROR)
    lines = [
        'digraph migration {',
        '  rankdir=LR; node [shape=box, style=rounded, fontname=sans];',
    ]
    for status in migration_states.TABLE.values():
        shape = ' [peripheries=2]' if status.is_final else ''
        lines.append(f'  "{status.name}"{shape};')
    for status in migration_states.TABLE.values():
        for following in status.next_statuses:
            style = ' [style=dashed]' if following in failures else ''
            lines.append(f'  "{status.name}" -> "{following}"{style};')
    return '\n'.join([*lines, '}'])


def flow_diagram(kind: str) -> str:
    """Return the steps of one kind of operation in Graphviz's language."""
    lines = [
        f'digraph {kind} {{',
        '  rankdir=LR; node [shape=box, fontname=sans];',
    ]
    before = None
    for step in flows.FLOWS[kind].steps:
        shape = 'box' if issubclass(step, ComputeStep) else 'ellipse'
        lines.append(f'  "{step.method}" [shape={shape}];')
        undo = getattr(step, 'undo', None)
        if undo is not None:
            lines.append(
                f'  "{undo.method}" -> "{step.method}" '
                '[style=dashed, label="undoes"];'
            )
        if before is not None and not _is_undo(kind, step.method):
            lines.append(f'  "{before}" -> "{step.method}";')
        if not _is_undo(kind, step.method):
            before = step.method
    return '\n'.join([*lines, '}'])


def _is_undo(kind: str, method: str) -> bool:
    undoing = {
        step.undo.method
        for step in flows.FLOWS[kind].steps
        if issubclass(step, ComputeStep) and step.undo is not None
    }
    return method in undoing
