# SPDX-License-Identifier: Apache-2.0
"""The state table and the contracts, as tables and pictures for people."""

from collections.abc import Iterator

from minova import flows
from minova import states
from minova.flows.base import ComputeStep

_COLUMNS = ('operation', 'from', 'task states', 'ends in', 'fails in', 'takes')


def _rows() -> Iterator[tuple[str, ...]]:
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


def state_table(rst: bool = False) -> str:
    """Return the state table as text."""
    rows = [_COLUMNS, *_rows()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]

    def line(row: tuple[str, ...]) -> str:
        cells = (c.ljust(w) for c, w in zip(row, widths, strict=True))
        return '  '.join(cells).rstrip()

    lines = [line(row) for row in rows]
    if rst:
        rule = '  '.join('=' * width for width in widths)
        return '\n'.join([rule, lines[0], rule, *lines[1:], rule])
    return '\n'.join(lines)


def _edges() -> Iterator[tuple[str, str, str]]:
    """Return how operations lead from one vm_state to another."""
    for rule in states.TABLE.values():
        for begin in rule.from_states:
            if rule.success_state == states.ORIGIN:
                for origin in (states.ACTIVE, states.STOPPED):
                    yield begin, origin, rule.kind
            elif rule.success_state not in (states.SAME, begin):
                yield begin, rule.success_state, rule.kind


def state_diagram() -> str:
    """Return the diagram of an instance's life in Graphviz's language."""
    edges: dict[tuple[str, str], list[str]] = {}
    for begin, end, kind in _edges():
        # From everywhere to deleted is said in one word.
        if end != states.DELETED:
            edges.setdefault((begin, end), []).append(kind)
    used = sorted({state for edge in edges for state in edge})
    lines = [
        'digraph life {',
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
                '[style=dashed, label="takes back"];'
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
