# SPDX-License-Identifier: Apache-2.0
"""The parts of a definition that wishes of flavors and images change.

Pure, as ``xml``, which puts them together. The format is the one of
https://libvirt.org/formatdomain.html.
"""

import dataclasses
from xml.etree import ElementTree

from minova.extra_specs.parser import Bandwidth
from minova.extra_specs.parser import GuestRequirements
from minova.virt.libvirt.xml_elements import add
from minova.virt.libvirt.xml_elements import add_text


@dataclasses.dataclass(frozen=True)
class DirectKernelBoot:
    """The files of a kernel that the hypervisor starts itself."""

    kernel: str
    ramdisk: str | None


def add_memory_backing(
    root: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """Huge pages; without a size the ones that the host uses by default."""
    if requirements.pages is None:
        return
    pages = add(add(root, 'memoryBacking'), 'hugepages')
    if isinstance(requirements.pages, int):
        add(pages, 'page', size=requirements.pages, unit='KiB')


def add_cpu_tuning(
    root: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """The guest's share of the host's processors."""
    limits = {
        'shares': requirements.cpu_shares,
        'period': requirements.cpu_period,
        'quota': requirements.cpu_quota,
    }
    said = {name: value for name, value in limits.items() if value is not None}
    if said:
        tuning = add(root, 'cputune')
        for name, value in said.items():
            add_text(tuning, name, value)


def add_os(
    root: ElementTree.Element,
    requirements: GuestRequirements,
    machine: str | None,
    boot: DirectKernelBoot | None,
) -> None:
    """What the guest boots, on which machine."""
    made = add(root, 'os')
    kind = add(made, 'type', arch='x86_64')
    kind.text = 'hvm'
    if machine is not None:
        kind.set('machine', machine)
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
    """How the processors are arranged."""
    add(cpu, 'topology', **requirements.topology._asdict())


def add_disk_target(
    device: ElementTree.Element, requirements: GuestRequirements, target: str
) -> None:
    """How a disk is attached, and what it may do.

    ``target`` is its name as a virtio disk; others have the same letter.
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
    """What an interface may carry."""
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
    """The controller of disks, where libvirt would take another one."""
    if requirements.disk_bus == 'scsi':
        add(
            devices,
            'controller',
            type='scsi',
            index=0,
            model=requirements.scsi_model,
        )


def add_video(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """The graphics adapter."""
    add(add(devices, 'video'), 'model', type=requirements.video_model)


def add_guest_agent(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """The channel to QEMU's guest agent."""
    if requirements.agent:
        channel = add(devices, 'channel', type='unix')
        add(channel, 'target', type='virtio', name='org.qemu.guest_agent.0')


def add_rng(
    devices: ElementTree.Element, requirements: GuestRequirements
) -> None:
    """A source of random numbers, as the host has them."""
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
    """A device that acts when the guest does not feed it any more."""
    if requirements.watchdog not in (None, 'disabled'):
        add(
            devices, 'watchdog', model='i6300esb', action=requirements.watchdog
        )
