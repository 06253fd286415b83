# SPDX-License-Identifier: Apache-2.0
"""The libvirt XML of a guest, built from a GuestSpec, and its metadata.

Pure functions: nothing is read from libvirt. The format is
https://libvirt.org/formatdomain.html; the differences between kinds of
hypervisors are in GuestProfile and nowhere else.

Each definition has an element of ours in ``<metadata>``. It names the instance
and the operation that defined the guest, which distinguishes a stale guest
from a current one::

    <minova:instance xmlns:minova='urn:minova:instance:1' uuid='...'>
      <operation id='...' generation='3'/>
      <flavor name='m1.small'/>
      <owner project='...' user='...'/>
    </minova:instance>
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import NamedTuple
from xml.etree import ElementTree

from minova.extra_specs import parser
from minova.extra_specs.parser import GuestRequirements
from minova.numa.placement import Placement
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import firmware as uefi
from minova.virt.libvirt import network_filters
from minova.virt.libvirt import spice
from minova.virt.libvirt import tpm
from minova.virt.libvirt import xml_devices
from minova.virt.libvirt import xml_placement
from minova.virt.libvirt.firmware import Firmware
from minova.virt.libvirt.xml_devices import DirectKernelBoot
from minova.virt.libvirt.xml_elements import add as _add
from minova.virt.libvirt.xml_elements import add_text as _leaf

#: The namespace of the metadata; an incompatible form gets a new number.
NAMESPACE = 'urn:minova:instance:1'
#: The prefix in libvirt's output.
PREFIX = 'minova'


#: The default CIDR of QEMU's user network.
_USER_CIDR = '10.0.2.0/24'


@dataclasses.dataclass(frozen=True)
class GuestProfile:
    """What the definitions of one kind of hypervisor contain.

    ``cpu_mode`` is libvirt's, None for the hypervisor's default; ``cpu_model``
    is the model for the mode ``custom``. None is libvirt's default for
    ``machine``, ``emulator`` and ``cache`` too. ``qemu.guest_profile`` sets
    these from the configuration. ``stats_period`` is the interval of memory
    statistics in seconds, 0 for none. ``pcie_ports`` is the number of ports
    for PCIe devices, 0 to let libvirt choose. ``firmware`` is the file that a
    guest boots, None for that of QEMU. ``uefi`` has the firmware for guests
    that require UEFI, None where this has no effect. ``shared_cpus`` are the
    CPUs of guests without dedicated ones, None for all. ``emulated`` has the
    profiles of guests with other architectures.
    """

    type: str
    cpu_mode: str | None
    architecture: str = 'x86_64'
    firmware: str | None = None
    uefi: tuple[Firmware, ...] | None = None
    cpu_model: str | None = None
    machine: str | None = None
    emulator: str | None = None
    cache: str | None = None
    stats_period: int = 10
    pcie_ports: int = 0
    shared_cpus: str | None = None
    emulated: 'Mapping[str, GuestProfile]' = dataclasses.field(
        default_factory=dict
    )

    @property
    def is_x86(self) -> bool:
        """Whether the guests have the devices of a PC."""
        return self.architecture == 'x86_64'


#: By virt_type; ``test`` is for embedded hosts: libvirt's test driver accepts
#: every element and ignores it.
PROFILES = {
    'qemu': GuestProfile('qemu', cpu_mode=None),
    'kvm': GuestProfile('kvm', cpu_mode='host-model'),
    'test': GuestProfile('test', cpu_mode=None),
}


@dataclasses.dataclass(frozen=True)
class Disk:
    """A disk of a guest: its file, 'raw' or 'qcow2', and its device name."""

    path: str
    format: str
    target: str
    readonly: bool = False


class GuestMetadata(NamedTuple):
    """The operation that last defined a guest; None when unknown."""

    operation: str | None
    generation: int | None


def domain_xml(
    spec: GuestSpec,
    disks: tuple[Disk, ...],
    profile: GuestProfile,
    console_log: str,
    vnc_listen: str,
    boot: DirectKernelBoot | None = None,
    directory: str = '',
    has_spice: bool = False,
) -> str:
    """Return the definition of a guest.

    The file ``console_log`` receives the output of the first serial port. The
    guest boots its first disk unless ``boot`` names a kernel. ``directory``
    has the files of the guest. ``has_spice`` adds a SPICE server to a PC.
    """
    requirements = requirements_of(spec)
    profile = _choose_profile(requirements, profile)
    firmware = choose_firmware(spec, profile)
    root = ElementTree.Element('domain', type=profile.type)
    _leaf(root, 'name', spec.name)
    _leaf(root, 'uuid', spec.uuid)
    if spec.title:
        _leaf(root, 'title', spec.title)
    _add(root, 'metadata').append(_metadata_element(spec, f'{{{NAMESPACE}}}'))
    _leaf(root, 'memory', spec.memory_mb, unit='MiB')
    _add_processors(root, spec, requirements, profile)
    machine = _choose_machine(requirements, profile)
    _add_os(root, requirements, profile, machine, boot)
    if firmware is not None:
        uefi.add_loader(root[-1], firmware, directory)
    if profile.is_x86:
        _add_features(root, firmware)
    _add_cpu(root, requirements, profile)
    _add_clock(root, profile)
    # A crashed guest stays off for analysis; a reboot restarts the guest.
    _leaf(root, 'on_poweroff', 'destroy')
    _leaf(root, 'on_reboot', 'restart')
    _leaf(root, 'on_crash', 'destroy')
    devices = _add(root, 'devices')
    if profile.emulator is not None:
        _leaf(devices, 'emulator', profile.emulator)
    for disk in disks:
        _add_disk(devices, disk, requirements, profile)
    xml_devices.add_controllers(devices, requirements)
    xml_devices.add_pcie_ports(devices, machine, profile.pcie_ports)
    for nic in spec.nics:
        _add_interface(devices, nic, requirements)
    _add_serial(devices, console_log)
    xml_devices.add_inputs(devices, requirements)
    _add_graphics(devices, vnc_listen, has_spice and profile.is_x86)
    xml_devices.add_video(devices, requirements)
    xml_devices.add_guest_agent(devices, requirements)
    xml_devices.add_rng(devices, requirements)
    xml_devices.add_watchdog(devices, requirements)
    tpm.add_tpm(devices, requirements)
    _add_balloon(devices, profile)
    return to_string(root)


def choose_firmware(spec: GuestSpec, profile: GuestProfile) -> Firmware | None:
    """Return the UEFI firmware of a guest; None for another firmware.

    GuestFailed when the host has none that the guest requires.
    """
    requirements = requirements_of(spec)
    profile = _choose_profile(requirements, profile)
    return uefi.choose(
        spec.uuid,
        profile.uefi,
        requirements,
        profile.architecture,
        _choose_machine(requirements, profile),
    )


def requirements_of(spec: GuestSpec) -> GuestRequirements:
    """Return the requirements of the flavor and the image of a guest.

    The API rejects invalid requirements; those of an older guest have no
    effect.
    """
    return parser.parse(
        spec.extra_specs, spec.image, spec.vcpus, spec.memory_mb
    ).requirements


def metadata_xml(spec: GuestSpec) -> str:
    """Return the metadata element alone, to update a running guest."""
    return to_string(_metadata_element(spec))


def parse_metadata(text: str) -> GuestMetadata:
    """Return the values of a metadata element; None when unreadable."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    except ElementTree.ParseError:
        return GuestMetadata(None, None)
    for child in root:
        if child.tag.rpartition('}')[2] == 'operation':
            generation = child.get('generation', '')
            return GuestMetadata(
                child.get('id'),
                int(generation) if generation.isdecimal() else None,
            )
    return GuestMetadata(None, None)


def relocate_files(text: str, path_map: Mapping[str, str]) -> str:
    """Return a definition whose files are in other directories.

    ``path_map`` maps old to new directories; other files stay.
    """
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    relocate(root, path_map)
    return to_string(root)


def relocate(root: ElementTree.Element, path_map: Mapping[str, str]) -> None:
    """Replace the directories of all files below an element."""
    for element in root.iter():
        for name in ('file', 'path'):
            path = element.get(name)
            if path is not None:
                element.set(name, _relocate_path(path, path_map))
        if element.tag in ('kernel', 'initrd', 'nvram') and element.text:
            element.text = _relocate_path(element.text, path_map)


def _relocate_path(path: str, path_map: Mapping[str, str]) -> str:
    for old, new in path_map.items():
        if path.startswith(f'{old}/'):
            return new + path.removeprefix(old)
    return path


def interface_xml(spec: GuestSpec, nic: dict[str, Any]) -> str:
    """Return the interface of a NIC, as ``domain_xml`` has it."""
    devices = ElementTree.Element('devices')
    _add_interface(devices, nic, requirements_of(spec))
    return to_string(devices[0])


def interface_elements(text: str) -> dict[str, str]:
    """Return the interfaces of a definition by their MAC, in order."""
    found = {}
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    for device in root.iterfind('devices/interface'):
        mac = device.find('mac')
        if mac is not None:
            found[str(mac.get('address')).lower()] = to_string(device)
    return found


def add_interface(text: str, device: str) -> str:
    """Return a definition with another interface."""
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    devices = root.find('devices')
    assert devices is not None
    devices.append(ElementTree.fromstring(device))  # noqa: S314
    return to_string(root)


def remove_interface(text: str, mac: str) -> str:
    """Return a definition without the interface of a MAC."""
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    devices = root.find('devices')
    assert devices is not None
    for device in devices.findall('interface'):
        found = device.find('mac')
        if found is not None and str(found.get('address')).lower() == mac:
            devices.remove(device)
    return to_string(root)


# -- the parts ---------------------------------------------------------------


def _metadata_element(spec: GuestSpec, space: str = '') -> ElementTree.Element:
    root = ElementTree.Element(f'{space}instance', uuid=spec.uuid)
    _add(
        root,
        f'{space}operation',
        id=spec.operation,
        generation=spec.generation,
    )
    _add(root, f'{space}flavor', name=spec.flavor)
    _add(root, f'{space}owner', project=spec.project_id, user=spec.user_id)
    return root


def _choose_profile(
    requirements: GuestRequirements, profile: GuestProfile
) -> GuestProfile:
    # An i686 guest runs on an x86_64 processor.
    return profile.emulated.get(str(requirements.architecture), profile)


def _add_processors(
    root: ElementTree.Element,
    spec: GuestSpec,
    requirements: GuestRequirements,
    profile: GuestProfile,
) -> None:
    """Add vCPUs and memory pages, and where both are on the host."""
    placement = None
    if spec.placement is not None:
        placement = Placement.from_json(spec.placement)
    shared = profile.shared_cpus
    xml_placement.add_memory_backing(root, requirements, placement)
    xml_placement.add_vcpus(root, spec.vcpus, placement, shared)
    tuning = xml_devices.add_cpu_tuning(root, requirements)
    if placement is not None:
        policy = requirements.emulator_threads
        xml_placement.add_pins(tuning, placement, policy, shared)
        xml_placement.add_numa_tuning(root, placement)
    if not len(tuning):
        root.remove(tuning)


def _choose_machine(
    requirements: GuestRequirements, profile: GuestProfile
) -> str | None:
    if profile.is_x86 and requirements.machine is not None:
        return requirements.machine
    return profile.machine


def _add_os(
    root: ElementTree.Element,
    requirements: GuestRequirements,
    profile: GuestProfile,
    machine: str | None,
    boot: DirectKernelBoot | None,
) -> None:
    has_uefi = profile.uefi is not None and requirements.firmware == 'uefi'
    xml_devices.add_os(
        root,
        requirements,
        profile.architecture,
        machine,
        None if has_uefi else profile.firmware,
        boot,
    )


def _add_features(
    root: ElementTree.Element, firmware: Firmware | None
) -> None:
    features = _add(root, 'features')
    _add(features, 'acpi')
    _add(features, 'apic')
    uefi.add_smm(features, firmware)


def _add_cpu(
    root: ElementTree.Element,
    requirements: GuestRequirements,
    profile: GuestProfile,
) -> None:
    cpu = _add(root, 'cpu')
    if profile.cpu_mode is not None:
        cpu.set('mode', profile.cpu_mode)
    if profile.cpu_model is not None:
        # Another model would change the guest during a migration.
        cpu.set('match', 'exact')
        _leaf(cpu, 'model', profile.cpu_model, fallback='forbid')
    xml_devices.add_topology(cpu, requirements)
    xml_placement.add_cells(cpu, requirements)


def _add_clock(root: ElementTree.Element, profile: GuestProfile) -> None:
    # libvirt's recommendation for guests that keep time on a busy host:
    # the rtc catches up on missed ticks, the pit does not.
    clock = _add(root, 'clock', offset='utc')
    if not profile.is_x86:
        return
    _add(clock, 'timer', name='rtc', tickpolicy='catchup')
    _add(clock, 'timer', name='pit', tickpolicy='delay')
    _add(clock, 'timer', name='hpet', present='no')


def _add_disk(
    devices: ElementTree.Element,
    disk: Disk,
    requirements: GuestRequirements,
    profile: GuestProfile,
) -> None:
    device = _add(devices, 'disk', type='file', device='disk')
    driver = _add(device, 'driver', name='qemu', type=disk.format)
    if profile.cache is not None:
        driver.set('cache', profile.cache)
    if not disk.readonly:
        # Space that the guest discards returns to the host.
        driver.set('discard', 'unmap')
    _add(device, 'source', file=disk.path)
    xml_devices.add_disk_target(device, requirements, disk.target)
    if disk.readonly:
        if requirements.disk_bus in ('sata', 'ide'):
            # QEMU has no read-only disks on these buses, only CD-ROMs.
            device.set('device', 'cdrom')
        _add(device, 'readonly')


def _add_interface(
    devices: ElementTree.Element,
    nic: dict[str, Any],
    requirements: GuestRequirements,
) -> None:
    bridge, network = nic.get('bridge'), nic.get('libvirt_network')
    kind, source = 'ethernet', {}
    if bridge:
        kind, source = 'bridge', {'bridge': bridge}
    elif network:
        kind, source = 'network', {'network': network}
    elif nic.get('user'):
        kind = 'user'
    device = _add(devices, 'interface', type=kind)
    _add(device, 'mac', address=nic['mac'])
    if source:
        _add(device, 'source', **source)
    if kind == 'user':
        _add_user_network(device, nic)
    network_filters.add_filter(device, nic)
    _add(device, 'model', type=requirements.vif_model)
    xml_devices.add_queues(device, requirements)
    if nic.get('mtu'):
        _add(device, 'mtu', size=nic['mtu'])
    xml_devices.add_bandwidth(device, requirements)


def _add_user_network(
    device: ElementTree.Element, nic: dict[str, Any]
) -> None:
    # QEMU's own default is left out: not every release accepts it.
    for subnet in nic['subnets']:
        if subnet['cidr'] != _USER_CIDR:
            address, _, prefix = subnet['cidr'].partition('/')
            _add(device, 'ip', family='ipv4', address=address, prefix=prefix)


def _add_serial(devices: ElementTree.Element, path: str) -> None:
    # A pty for interactive use; all output also goes to a file.
    serial = _add(devices, 'serial', type='pty')
    _add(serial, 'log', file=path, append='on')
    _add(serial, 'target', port=0)


def _add_graphics(
    devices: ElementTree.Element, listen: str, has_spice: bool
) -> None:
    graphics = _add(
        devices, 'graphics', type='vnc', port=-1, autoport='yes', listen=listen
    )
    _add(graphics, 'listen', type='address', address=listen)
    if has_spice:
        spice.add_spice(devices, listen)


def _add_balloon(devices: ElementTree.Element, profile: GuestProfile) -> None:
    balloon = _add(devices, 'memballoon', model='virtio')
    if profile.stats_period:
        _add(balloon, 'stats', period=profile.stats_period)


# -- writing -----------------------------------------------------------------


def to_string(root: ElementTree.Element) -> str:
    """Return an element as text."""
    ElementTree.register_namespace(PREFIX, NAMESPACE)
    return ElementTree.tostring(root, encoding='unicode')
