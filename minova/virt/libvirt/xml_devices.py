# SPDX-License-Identifier: Apache-2.0
"""The parts of a definition that extra specs and image properties change.

Pure functions; ``xml`` combines them. The format is
https://libvirt.org/formatdomain.html.
"""

import dataclasses
import re
from typing import Final
from xml.etree import ElementTree

from minova.extra_specs.parser import Bandwidth
from minova.extra_specs.parser import GuestRequirements
from minova.virt.libvirt.xml_elements import add
from minova.virt.libvirt.xml_elements import add_text

#: The queues that a tap device of Linux has at most.
_MAX_QUEUES: Final = 256
#: The machine types with PCI Express.
_HAS_PCIE: Final = re.compile(r'(pc-)?q35|virt')


@dataclasses.dataclass(frozen=True)
class DirectKernelBoot:
    """The kernel and ramdisk that the hypervisor boots directly."""

    kernel: str
    ramdisk: str | None


def add_cpu_tuning(
    root: ElementTree.Element, requirements: GuestRequirements
) -> ElementTree.Element:
    """Add the guest's share of the host's processors; return the element."""
    limits = {
        'shares': requirements.cpu_shares,
        'period': requirements.cpu_period,
        'quota': requirements.cpu_quota,
    }
    tuning = add(root, 'cputune')
    for name, value in limits.items():
        if value is not None:
            add_text(tuning, name, value)
    return tuning


def add_os(
    root: ElementTree.Element,
    requirements: GuestRequirements,
    architecture: str,
    machine: str | None,
    firmware: str | None,
    boot: DirectKernelBoot | None,
) -> None:
    """Add the machine type and what the guest boots.

    ``firmware`` is one that keeps no variables.
    """
    made = add(root, 'os')
    kind = add(made, 'type', arch=architecture)
    kind.text = 'hvm'
    if machine is not None:
        kind.set('machine', machine)
    if firmware is not None:
        loader = add(made, 'loader', readonly='yes', type='rom')
        loader.text = firmware
    if boot is not None:
        add_text(made, 'kernel', boot.kernel)
        if boot.ramdisk is not None:
            add_text(made, 'initrd', boot.ramdisk)
        add_text(made, 'cmdline', requirements.kernel_command_line)
    add(made, 'boot', dev='hd')
    if requirements.boot_menu is not None:
        add(made, 'bootmenu', enable='yes' if requirements.boot_menu else 'no')


def add_topology(
    cpu: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the processor topology."""
    add(cpu, 'topology', **requirements.topology._asdict())


def add_disk_target(
    device: ElementTree.Element, requirements: GuestRequirements, target: str
) -> None:
    """Add the bus of a disk and its limits.

    ``target`` is the name as a virtio disk; other buses keep the letter.
    """
    name = requirements.root_device[:2] + target[2:]
    add(device, 'target', dev=name, bus=requirements.disk_bus)
    if requirements.disk:
        tuning = add(device, 'iotune')
        for limit, value in requirements.disk:
            add_text(tuning, limit, value)


def add_bandwidth(
    device: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the bandwidth limits of an interface."""
    ways = {'inbound': requirements.inbound, 'outbound': requirements.outbound}
    if any(ways.values()):
        made = add(device, 'bandwidth')
        for way, limits in ways.items():
            if limits is not None:
                add(made, way, **_set_values(limits))


def _set_values(limits: Bandwidth) -> dict[str, int]:
    return {
        name: value
        for name, value in dataclasses.asdict(limits).items()
        if value is not None
    }


def add_controllers(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the disk controller where libvirt would choose another."""
    if requirements.disk_bus == 'scsi':
        add(
            devices,
            'controller',
            type='scsi',
            index=0,
            model=requirements.scsi_model,
        )


def add_pcie_ports(
    devices: ElementTree.Element, machine: str | None, count: int
) -> None:
    """Add the ports of a machine with PCI Express, 0 for libvirt's choice.

    Devices can be attached to a running guest while ports are free.
    """
    if not count or not _HAS_PCIE.match(machine or ''):
        return
    add(devices, 'controller', type='pci', index=0, model='pcie-root')
    for index in range(1, count + 1):
        add(
            devices,
            'controller',
            type='pci',
            index=index,
            model='pcie-root-port',
        )


def add_video(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the graphics adapter."""
    model = add(add(devices, 'video'), 'model', type=requirements.video_model)
    if requirements.video_ram is not None:
        model.set('vram', str(requirements.video_ram * 1024))


def add_inputs(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add a tablet and a keyboard, as the image asks for them."""
    bus = requirements.input_bus
    if bus is not None:
        add(devices, 'input', type='tablet', bus=bus)
        add(devices, 'input', type='keyboard', bus=bus)
    elif requirements.pointer_model == 'usbtablet':
        add(devices, 'input', type='tablet', bus='usb')


def add_queues(
    device: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add a queue for each vCPU to a virtio network adapter.

    QEMU's user network has one queue.
    """
    is_able = requirements.vif_model == 'virtio' and device.get('type') != (
        'user'
    )
    topology = requirements.topology
    vcpus = topology.sockets * topology.cores * topology.threads
    if requirements.multiqueue and is_able and vcpus > 1:
        add(device, 'driver', queues=min(vcpus, _MAX_QUEUES))


def add_guest_agent(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add the channel of QEMU's guest agent."""
    if requirements.agent:
        channel = add(devices, 'channel', type='unix')
        add(channel, 'target', type='virtio', name='org.qemu.guest_agent.0')


def add_rng(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add a random number generator backed by the host."""
    if not requirements.rng:
        return
    rng = add(devices, 'rng', model=requirements.rng_model)
    if requirements.rng_bytes is not None:
        add(
            rng,
            'rate',
            bytes=requirements.rng_bytes,
            period=requirements.rng_period,
        )
    add_text(rng, 'backend', '/dev/urandom', model='random')


def add_watchdog(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Add a watchdog device."""
    if requirements.watchdog not in (None, 'disabled'):
        add(
            devices, 'watchdog', model='i6300esb', action=requirements.watchdog
        )
