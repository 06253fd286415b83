# SPDX-License-Identifier: Apache-2.0
"""The CPU policies and the NUMA cells of a guest, from parsed values.

The rules where flavor and image disagree are Nova's.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import re
from typing import Any
from typing import Final

#: The names with the number of a cell; the tables have ``N`` for it.
_NUMBERED: Final = re.compile(
    r'(hw[:_]numa_(?:cpus|mem))\.(0|[1-9][0-9]{0,2})', re.ASCII
)
_DEDICATED: Final = 'dedicated'


@dataclasses.dataclass(frozen=True)
class NumaCell:
    """A NUMA cell of a guest: the numbers of its vCPUs, and its memory."""

    vcpus: tuple[int, ...]
    memory_mb: int


def row_name(name: str) -> str:
    """Return the name in the tables: ``N`` for the number of a cell."""
    if name.endswith('.N'):
        return ''
    return _NUMBERED.sub(r'\1.N', name)


def field_of(name: str, field: str) -> str:
    """Return the field of a name, with the number of its cell."""
    match = _NUMBERED.fullmatch(name)
    return f'{field}.{match[2]}' if match else field


def build(
    flavor: Mapping[str, Any],
    image: Mapping[str, Any],
    sizes: tuple[int, int],
    pages: int | str | None,
    add_error: Callable[[str], None],
) -> dict[str, Any]:
    """Return the fields of GuestRequirements about CPUs and cells.

    ``sizes`` are the vCPUs and MiB of the flavor. A guest without a policy and
    without cells is anywhere on its host.
    """
    policy = _policy(flavor, image, add_error)
    is_dedicated = policy == _DEDICATED
    threads = _agreed('cpu_thread_policy', flavor, image, add_error)
    if threads is not None and not is_dedicated:
        add_error('hw:cpu_thread_policy needs hw:cpu_policy=dedicated.')
        threads = None
    emulator = _agreed('emulator_threads', flavor, image, add_error)
    if emulator == 'isolate' and not is_dedicated:
        add_error(
            'hw:emulator_threads_policy=isolate needs hw:cpu_policy=dedicated.'
        )
        emulator = None
    cells = _cells(flavor, image, sizes, add_error)
    if not cells and (is_dedicated or pages is not None):
        cells = (NumaCell(tuple(range(sizes[0])), sizes[1]),)
    if isinstance(pages, int) and any(
        cell.memory_mb * 1024 % pages for cell in cells
    ):
        add_error(
            'The memory of a NUMA cell is not a multiple of the page size of '
            f'{pages} KiB (hw:mem_page_size).'
        )
    return {
        'is_dedicated': is_dedicated,
        'cpu_thread_policy': threads,
        'emulator_threads': emulator,
        'numa_cells': cells,
    }


def _policy(
    flavor: Mapping[str, Any],
    image: Mapping[str, Any],
    add_error: Callable[[str], None],
) -> str | None:
    own, other = flavor.get('cpu_policy'), image.get('cpu_policy')
    if own == 'shared' and other == _DEDICATED:
        add_error(
            'The flavor has hw:cpu_policy=shared, which the image property '
            'hw_cpu_policy=dedicated contradicts.'
        )
        return 'shared'
    return own or other


def _agreed(
    field: str,
    flavor: Mapping[str, Any],
    image: Mapping[str, Any],
    add_error: Callable[[str], None],
) -> str | None:
    """Return a policy that flavor and image may set, if they agree."""
    own, other = flavor.get(field), image.get(field)
    if own in (None, 'prefer') or other in (None, own):
        return other or own
    names = {
        'cpu_thread_policy': 'cpu_thread_policy',
        'emulator_threads': 'emulator_threads_policy',
    }
    add_error(
        f'The flavor has hw:{names[field]}={own}, which the image property '
        f'hw_{names[field]}={other} contradicts.'
    )
    return str(own)


def _cells(
    flavor: Mapping[str, Any],
    image: Mapping[str, Any],
    sizes: tuple[int, int],
    add_error: Callable[[str], None],
) -> tuple[NumaCell, ...]:
    in_flavor, in_image = _names(flavor), _names(image)
    if in_flavor and in_image:
        add_error(
            'The flavor sets hw:numa_*, so the image may not have the '
            f'property {_spell(in_image[0], "_")}.'
        )
        in_image = []
    values, sign = (image, '_') if in_image else (flavor, ':')
    names = in_image or in_flavor
    if not names:
        return ()
    nodes = f'hw{sign}numa_nodes'
    count = values.get('numa_nodes')
    if count is None:
        add_error(f'{_spell(names[0], sign)} needs {nodes}.')
        return ()
    vcpus, memory_mb = sizes
    numbered = [name for name in names if name != 'numa_nodes']
    wrong = [n for n in numbered if int(n.rpartition('.')[2]) >= count]
    if wrong:
        add_error(
            f'{_spell(wrong[0], sign)} is of a cell beyond {nodes}={count}.'
        )
        return ()
    if not numbered:
        return _equal_cells(nodes, count, sizes, add_error)
    expected = {
        f'numa_{what}.{n}' for what in ('cpus', 'mem') for n in range(count)
    }
    missing = sorted(expected - set(numbered))
    if missing:
        add_error(
            f'{_spell(missing[0], sign)} is missing: each cell needs CPUs and '
            'memory, or none has them.'
        )
        return ()
    found = [
        NumaCell(
            tuple(sorted(values[f'numa_cpus.{n}'])), values[f'numa_mem.{n}']
        )
        for n in range(count)
    ]
    return _check_sums(tuple(found), sign, vcpus, memory_mb, add_error)


def _equal_cells(
    nodes: str,
    count: int,
    sizes: tuple[int, int],
    add_error: Callable[[str], None],
) -> tuple[NumaCell, ...]:
    vcpus, memory_mb = sizes
    if vcpus % count or memory_mb % count:
        add_error(
            f'{nodes}={count} does not divide {vcpus} vCPUs and {memory_mb} '
            f'MiB; set {nodes[:-5]}cpus.N and {nodes[:-5]}mem.N.'
        )
        return ()
    each = vcpus // count
    return tuple(
        NumaCell(
            tuple(range(number * each, (number + 1) * each)),
            memory_mb // count,
        )
        for number in range(count)
    )


def _check_sums(
    cells: tuple[NumaCell, ...],
    sign: str,
    vcpus: int,
    memory_mb: int,
    add_error: Callable[[str], None],
) -> tuple[NumaCell, ...]:
    given = sorted(cpu for cell in cells for cpu in cell.vcpus)
    if given != list(range(vcpus)):
        add_error(
            f'hw{sign}numa_cpus.N must have each vCPU from 0 to {vcpus - 1} '
            'in one cell.'
        )
        return ()
    total = sum(cell.memory_mb for cell in cells)
    if total != memory_mb:
        add_error(
            f'hw{sign}numa_mem.N has {total} MiB in sum; the flavor has '
            f'{memory_mb} MiB.'
        )
        return ()
    return cells


def _names(values: Iterable[str]) -> list[str]:
    return sorted(name for name in values if name.startswith('numa_'))


def _spell(name: str, sign: str) -> str:
    return f'hw{sign}{name}'
