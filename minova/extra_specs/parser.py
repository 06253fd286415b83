# SPDX-License-Identifier: Apache-2.0
"""The requirements of a flavor and an image, parsed by the table.

``parse`` never fails: an invalid value has no effect and is reported as an
error. The API calls ``validate`` before it uses a flavor and an image, so a
driver meets an invalid value only in a server that is older than the check.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Final
from typing import NamedTuple

from minova import exception
from minova.extra_specs import firmware
from minova.extra_specs import numa
from minova.extra_specs import table
from minova.extra_specs.numa import NumaCell
from minova.extra_specs.value_types import PAGE_SIZES

#: The default command line of a kernel that the host boots directly.
DEFAULT_COMMAND_LINE: Final = 'root=/dev/{root} console=tty0 console={port}'
_BY_EXTRA_SPEC: Final = {spec.name: spec for spec in table.EXTRA_SPECS}
_BY_PROPERTY: Final = {spec.name: spec for spec in table.IMAGE_PROPERTIES}
_MAX_SHOWN: Final = 80


class Topology(NamedTuple):
    """The processor topology."""

    sockets: int
    cores: int
    threads: int


@dataclasses.dataclass(frozen=True)
class Bandwidth:
    """The limits of an interface in KiB/s; the burst is in KiB."""

    average: int
    peak: int | None = None
    burst: int | None = None


@dataclasses.dataclass(frozen=True)
class GuestRequirements:
    """The requirements of a guest besides its sizes; None for defaults.

    A host must support ``architecture``, ``hypervisor`` and ``vm_mode`` to be
    selected. ``pages`` is the size of memory pages in KiB, or 'large'.
    ``disk`` has limits by libvirt's names, such as ``total_bytes_sec``.
    ``numa_cells`` is empty for a guest that may be in any cell of its host;
    ``is_dedicated``: each vCPU has a CPU of the host for itself.
    """

    topology: Topology
    numa_cells: tuple[NumaCell, ...] = ()
    is_dedicated: bool = False
    cpu_thread_policy: str | None = None
    emulator_threads: str | None = None
    architecture: str | None = None
    hypervisor: str | None = None
    vm_mode: str | None = None
    pages: int | str | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    disk: tuple[tuple[str, int], ...] = ()
    inbound: Bandwidth | None = None
    outbound: Bandwidth | None = None
    watchdog: str | None = None
    boot_menu: bool | None = None
    rng: bool = True
    rng_bytes: int | None = None
    rng_period: int = 1000
    rng_model: str = 'virtio'
    machine: str | None = None
    firmware: str | None = None
    secure_boot: str | None = None
    tpm_version: str | None = None
    tpm_model: str = 'tpm-tis'
    disk_bus: str = 'virtio'
    scsi_model: str = 'virtio-scsi'
    vif_model: str = 'virtio'
    video_model: str = 'virtio'
    video_ram: int | None = None
    multiqueue: bool = False
    input_bus: str | None = None
    pointer_model: str | None = None
    agent: bool = True
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    command_line: str | None = None

    @property
    def root_device(self) -> str:
        """The device name of the first disk in the guest."""
        return 'vda' if self.disk_bus == 'virtio' else 'sda'

    @property
    def kernel_command_line(self) -> str:
        """The command line of a kernel that the host boots directly."""
        if self.command_line is not None:
            return self.command_line
        port = 'ttyAMA0' if self.architecture == 'aarch64' else 'ttyS0'
        return DEFAULT_COMMAND_LINE.format(root=self.root_device, port=port)


class ParseResult(NamedTuple):
    """The valid requirements, and the errors as sentences."""

    requirements: GuestRequirements
    errors: tuple[str, ...]


def parse(
    extra_specs: Mapping[str, object],
    properties: Mapping[str, object],
    vcpus: int,
    memory_mb: int,
) -> ParseResult:
    """Return the requirements of a flavor and an image."""
    errors: list[str] = []
    flavor: dict[str, Any] = {}
    for name, text in extra_specs.items():
        try:
            spec = _BY_EXTRA_SPEC.get(numa.row_name(name))
            if spec is not None:
                field = numa.field_of(name, spec.field)
                flavor[field] = spec.value_type.parse(str(text))
            else:
                _require_other_namespace(name)
        except ValueError as error:
            errors.append(_error_text('extra spec', name, text, error))
    image: dict[str, Any] = {}
    for name, spec in _list_properties(properties):
        # An empty property counts as unset: users cannot delete it.
        text = properties.get(name)
        if text is None or text == '':
            continue
        try:
            field = numa.field_of(name, spec.field)
            image[field] = spec.value_type.parse(str(text))
        except ValueError as error:
            errors.append(_error_text('image property', name, text, error))
    maker = _Builder(flavor, image, errors)
    return ParseResult(maker.build(vcpus, memory_mb), tuple(errors))


def _list_properties(
    properties: Mapping[str, object],
) -> Iterator[tuple[str, table.ExtraSpec]]:
    """Yield the known properties in the order of the table."""
    yield from _BY_PROPERTY.items()
    for name in properties:
        if name not in _BY_PROPERTY and numa.row_name(name) in _BY_PROPERTY:
            yield name, _BY_PROPERTY[numa.row_name(name)]


def validate(
    extra_specs: Mapping[str, object],
    properties: Mapping[str, object],
    vcpus: int,
    memory_mb: int,
) -> GuestRequirements:
    """Return the requirements; InvalidInput when one is invalid."""
    found = parse(extra_specs, properties, vcpus, memory_mb)
    if found.errors:
        raise exception.InvalidInput(reason=' '.join(found.errors))
    return found.requirements


def validate_extra_specs(extra_specs: Mapping[str, object]) -> None:
    """Raise InvalidInput for extra specs that are invalid in every flavor.

    Checks each extra spec by itself.
    """
    for name, text in extra_specs.items():
        try:
            spec = _BY_EXTRA_SPEC.get(numa.row_name(name))
            if spec is not None:
                spec.value_type.parse(str(text))
            else:
                _require_other_namespace(name)
        except ValueError as error:
            raise exception.InvalidInput(
                reason=_error_text('extra spec', name, text, error)
            ) from error


def _require_other_namespace(name: str) -> None:
    """Raise ValueError for an unknown name in a namespace of the table."""
    space, colon, _ = name.partition(':')
    if colon and space in table.NAMESPACES:
        known = [n for n in _BY_EXTRA_SPEC if n.startswith(f'{space}:')]
        raise ValueError(
            'is not supported in this release. '
            + (f'Supported are {", ".join(known)}.' if known else 'Remove it.')
        )


def _error_text(what: str, name: str, text: object, error: ValueError) -> str:
    return f'The {what} {name[:_MAX_SHOWN]}={str(text)[:_MAX_SHOWN]!r} {error}'


class _Builder:
    """Combines the values of a flavor and an image."""

    def __init__(
        self,
        flavor: dict[str, Any],
        image: dict[str, Any],
        errors: list[str],
    ) -> None:
        self._flavor = flavor
        self._image = image
        self._values = flavor | image
        self._errors = errors

    def build(self, vcpus: int, memory_mb: int) -> GuestRequirements:
        """Return the requirements; report and omit contradictions."""
        plain = {
            field.name: self._values[field.name]
            for field in dataclasses.fields(GuestRequirements)
            if field.name in self._values
        }
        # The flavor decides; an image has no property for it.
        plain['rng'] = self._flavor.get('rng', True)
        if 'rng_period' in plain and 'rng_bytes' not in plain:
            self._add_error('hw_rng:rate_period needs hw_rng:rate_bytes.')
        plain['pages'] = self._pages(memory_mb)
        plain |= firmware.build(self._flavor, self._image, self._add_error)
        plain |= numa.build(
            self._flavor,
            self._image,
            (vcpus, memory_mb),
            plain['pages'],
            self._add_error,
        )
        plain |= self._kernel()
        plain['video_ram'] = self._video_ram()
        return GuestRequirements(
            **plain
            | {
                'topology': self._topology(vcpus),
                'disk': self._disk(),
                'inbound': self._bandwidth('inbound'),
                'outbound': self._bandwidth('outbound'),
            }
        )

    def _add_error(self, text: str) -> None:
        self._errors.append(text)

    def _topology(self, vcpus: int) -> Topology:
        base = Topology(vcpus, 1, 1)
        maximum = {}
        for part in Topology._fields:
            bounds = [
                values[f'max.{part}']
                for values in (self._flavor, self._image)
                if f'max.{part}' in values
            ]
            maximum[part] = min(bounds, default=vcpus)
        for found in _topologies(vcpus):
            if all(
                self._values.get(f'cpu.{part}', value)
                == value
                <= maximum[part]
                for part, value in found._asdict().items()
            ):
                return found
        given = [
            f'{value} {part}'
            for part in Topology._fields
            if (value := self._values.get(f'cpu.{part}')) is not None
        ]
        bounds = [
            f'at most {maximum[part]} {part}'
            for part in Topology._fields
            if f'max.{part}' in self._values
        ]
        self._add_error(
            f'No topology of {vcpus} vCPUs has {", ".join(given + bounds)}: '
            'the product of hw:cpu_sockets, hw:cpu_cores and hw:cpu_threads '
            'must be the number of vCPUs, and none may exceed its '
            'hw:cpu_max_*.'
        )
        return base

    def _pages(self, memory_mb: int) -> int | str | None:
        allowed = self._flavor.get('pages')
        wanted = self._image.get('pages')
        if wanted is not None and allowed not in ('large', 'any'):
            self._add_error(
                'The image property hw_mem_page_size needs a flavor with '
                'hw:mem_page_size=large or any.'
            )
            wanted = None
        if allowed == 'large' and wanted in ('small', 'any', PAGE_SIZES[0]):
            if wanted != 'any':
                self._add_error(
                    'The flavor has hw:mem_page_size=large, which the image '
                    f'property hw_mem_page_size={wanted} contradicts.'
                )
            wanted = None
        pages = allowed if wanted is None else wanted
        if pages in (None, 'small', 'any', PAGE_SIZES[0]):
            return None
        if isinstance(pages, int) and memory_mb * 1024 % pages:
            self._add_error(
                f'The memory of {memory_mb} MiB is not a multiple of the page '
                f'size of {pages} KiB (hw:mem_page_size).'
            )
            return None
        return pages  # type: ignore[no-any-return]

    def _disk(self) -> tuple[tuple[str, int], ...]:
        limits = {
            name.removeprefix('disk.'): value
            for name, value in self._values.items()
            if name.startswith('disk.')
        }
        for what in ('bytes', 'iops'):
            for suffix in ('', '_max'):
                total = f'total_{what}_sec{suffix}'
                one = {
                    f'{direction}_{what}_sec{suffix}'
                    for direction in _DIRECTIONS
                }
                if total in limits and one & limits.keys():
                    self._add_error(
                        f'quota:disk_{total} cannot be combined with '
                        f'{_option_names(sorted(one & limits.keys()))}.'
                    )
                    return ()
        for name, value in limits.items():
            base = name.removesuffix('_max')
            if name != base and not 0 < limits.get(base, 0) <= value:
                self._add_error(
                    f'quota:disk_{name} needs quota:disk_{base} with a '
                    'value that is not greater.'
                )
                return ()
        return tuple(sorted(limits.items()))

    def _bandwidth(self, direction: str) -> Bandwidth | None:
        parts = {
            part: self._values[f'{direction}.{part}']
            for part in ('average', 'peak', 'burst')
            if f'{direction}.{part}' in self._values
        }
        if parts and 'average' not in parts:
            self._add_error(
                f'quota:vif_{direction}_{min(parts)} needs '
                f'quota:vif_{direction}_average.'
            )
            return None
        return Bandwidth(**parts) if parts else None

    def _video_ram(self) -> int | None:
        """Return the MiB of video memory; None for the model's default."""
        wanted, limit = (
            self._image.get('video.ram'),
            self._flavor.get('video.max'),
        )
        if wanted is None:
            return None
        if limit is None or wanted > limit:
            self._add_error(
                f'The image property hw_video_ram={wanted} is more than '
                f'hw_video:ram_max_mb={limit or 0} of the flavor.'
            )
            return None
        if self._image.get('video_model') not in _MODELS_WITH_MEMORY:
            self._add_error(
                'The image property hw_video_ram needs hw_video_model='
                f'{", ".join(_MODELS_WITH_MEMORY)}.'
            )
            return None
        return int(wanted)

    def _kernel(self) -> dict[str, None]:
        """Return the values that have no effect without a kernel."""
        if 'kernel_id' in self._values:
            return {}
        if 'ramdisk_id' in self._values:
            self._add_error('The image property ramdisk_id needs kernel_id.')
        # Images that once had a kernel keep its command line.
        return {'ramdisk_id': None, 'command_line': None}


#: Other models have no video memory, or one of a fixed size.
_MODELS_WITH_MEMORY: Final = ('vga', 'cirrus', 'qxl', 'bochs', 'vmvga')
_DIRECTIONS: Final = ('read', 'write')


def _option_names(limits: Iterable[str]) -> str:
    return ' and '.join(f'quota:disk_{name}' for name in limits)


def _topologies(vcpus: int) -> Iterator[Topology]:
    """Yield the topologies with ``vcpus`` processors, most sockets first."""
    for sockets in range(vcpus, 0, -1):
        if vcpus % sockets:
            continue
        of_socket = vcpus // sockets
        for cores in range(of_socket, 0, -1):
            if of_socket % cores == 0:
                yield Topology(sockets, cores, of_socket // cores)
