# SPDX-License-Identifier: Apache-2.0
"""What a guest is, in libvirt's language: from a Spec to XML and back.

Pure: nothing is asked or looked up here. The format is the one of
https://libvirt.org/formatdomain.html; what kinds of hypervisors take
differently stands in a ``Profile``, and nowhere else.

With the definition goes a mark: an element of our own in ``<metadata>`` that
names the instance and the operation which defined the guest, so that a stale
guest can be told from a wanted one::

    <minova:instance xmlns:minova='urn:minova:instance:1' uuid='...'>
      <operation id='...' generation='3'/>
      <flavor name='m1.small'/>
      <owner project='...' user='...'/>
    </minova:instance>
"""

import dataclasses
import re
from typing import Any
from typing import NamedTuple
from xml.etree import ElementTree

from minova.virt.driver import Spec

#: The namespace of the mark; another form of it gets another number.
NAMESPACE = 'urn:minova:instance:1'
#: The prefix under which libvirt shows it.
PREFIX = 'minova'

# What XML 1.0 has no way to write: control characters, halves of surrogate
# pairs, two that are no characters.
_UNWRITABLE = re.compile(
    '[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'
)
# libvirt refuses a title of several lines; a tab helps nobody either.
_BREAKS = re.compile('[\t\n\r]')


#: What QEMU's user network is when nothing else is said.
_USER_CIDR = '10.0.2.0/24'


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a kind of hypervisor takes.

    ``cpu_mode`` is what the guest's processor is like, None: whatever the
    hypervisor gives by default.
    """

    type: str
    cpu_mode: str | None


#: By virt_type; ``test`` is the profile of embedded hosts. libvirt's test
#: driver takes every element that is written here and acts on none.
PROFILES = {
    'qemu': Profile('qemu', cpu_mode=None),
    'kvm': Profile('kvm', cpu_mode='host-model'),
    'test': Profile('test', cpu_mode=None),
}


@dataclasses.dataclass(frozen=True)
class Disk:
    """A disk of a guest: its file, 'raw' or 'qcow2', and its device name."""

    path: str
    format: str
    target: str


class Mark(NamedTuple):
    """By which operation a guest was last defined, where that is known."""

    operation: str | None
    generation: int | None


def domain(
    spec: Spec,
    disks: tuple[Disk, ...],
    profile: Profile,
    console_log: str,
    vnc_listen: str,
) -> str:
    """Return the definition of a guest.

    What its first serial port says is written to the file ``console_log``.
    """
    root = ElementTree.Element('domain', type=profile.type)
    _leaf(root, 'name', spec.name)
    _leaf(root, 'uuid', spec.uuid)
    if spec.title:
        _leaf(root, 'title', spec.title)
    _add(root, 'metadata').append(_mark(spec, f'{{{NAMESPACE}}}'))
    _leaf(root, 'memory', spec.memory_mb, unit='MiB')
    _leaf(root, 'vcpu', spec.vcpus)
    _os(root)
    _cpu(root, spec, profile)
    _clock(root)
    # A guest that crashed is off and looked at; one that reboots goes on.
    _leaf(root, 'on_poweroff', 'destroy')
    _leaf(root, 'on_reboot', 'restart')
    _leaf(root, 'on_crash', 'destroy')
    devices = _add(root, 'devices')
    for disk in disks:
        _disk(devices, disk)
    for nic in spec.nics:
        _interface(devices, nic)
    _console(devices, console_log)
    _screen(devices, vnc_listen)
    _paravirtual(devices)
    return _text(root)


def mark(spec: Spec) -> str:
    """Return the mark alone, as libvirt wants it for a running guest."""
    return _text(_mark(spec))


def read_mark(text: str) -> Mark:
    """Return what a mark says; a strange one says nothing."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    except ElementTree.ParseError:
        return Mark(None, None)
    for child in root:
        if child.tag.rpartition('}')[2] == 'operation':
            generation = child.get('generation', '')
            return Mark(
                child.get('id'),
                int(generation) if generation.isdecimal() else None,
            )
    return Mark(None, None)


def relocated(text: str, old: str, new: str) -> str:
    """Return a definition whose files are below ``new`` instead of ``old``.

    Both are directories; files that are elsewhere stay there.
    """
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    for element in root.iter():
        for name in ('file', 'path'):
            path = element.get(name)
            if path is not None and path.startswith(f'{old}/'):
                element.set(name, new + path.removeprefix(old))
    return _text(root)


# -- the parts ---------------------------------------------------------------


def _mark(spec: Spec, space: str = '') -> ElementTree.Element:
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


def _os(root: ElementTree.Element) -> None:
    system = _add(root, 'os')
    _leaf(system, 'type', 'hvm', arch='x86_64')
    _add(system, 'boot', dev='hd')
    features = _add(root, 'features')
    _add(features, 'acpi')
    _add(features, 'apic')


def _cpu(root: ElementTree.Element, spec: Spec, profile: Profile) -> None:
    cpu = _add(root, 'cpu')
    if profile.cpu_mode is not None:
        cpu.set('mode', profile.cpu_mode)
    _add(cpu, 'topology', sockets=spec.vcpus, cores=1, threads=1)


def _clock(root: ElementTree.Element) -> None:
    # As libvirt advises for guests that must keep time while the host is
    # busy: missed ticks of the one clock are made up for, of the other not.
    clock = _add(root, 'clock', offset='utc')
    _add(clock, 'timer', name='rtc', tickpolicy='catchup')
    _add(clock, 'timer', name='pit', tickpolicy='delay')
    _add(clock, 'timer', name='hpet', present='no')


def _disk(devices: ElementTree.Element, disk: Disk) -> None:
    device = _add(devices, 'disk', type='file', device='disk')
    _add(device, 'driver', name='qemu', type=disk.format)
    _add(device, 'source', file=disk.path)
    _add(device, 'target', dev=disk.target, bus='virtio')


def _interface(devices: ElementTree.Element, nic: dict[str, Any]) -> None:
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
        _user_network(device, nic)
    _add(device, 'model', type='virtio')
    if nic.get('mtu'):
        _add(device, 'mtu', size=nic['mtu'])


def _user_network(device: ElementTree.Element, nic: dict[str, Any]) -> None:
    # Of QEMU's own default nothing is said: not every release takes it.
    for subnet in nic['subnets']:
        if subnet['cidr'] != _USER_CIDR:
            address, _, prefix = subnet['cidr'].partition('/')
            _add(device, 'ip', family='ipv4', address=address, prefix=prefix)


def _console(devices: ElementTree.Element, path: str) -> None:
    # A pty for whoever wants to type, and all that was said in a file.
    serial = _add(devices, 'serial', type='pty')
    _add(serial, 'log', file=path, append='on')
    _add(serial, 'target', port=0)


def _screen(devices: ElementTree.Element, listen: str) -> None:
    graphics = _add(
        devices, 'graphics', type='vnc', port=-1, autoport='yes', listen=listen
    )
    _add(graphics, 'listen', type='address', address=listen)
    video = _add(devices, 'video')
    _add(video, 'model', type='virtio')


def _paravirtual(devices: ElementTree.Element) -> None:
    agent = _add(devices, 'channel', type='unix')
    _add(agent, 'target', type='virtio', name='org.qemu.guest_agent.0')
    rng = _add(devices, 'rng', model='virtio')
    _leaf(rng, 'backend', '/dev/urandom', model='random')
    balloon = _add(devices, 'memballoon', model='virtio')
    _add(balloon, 'stats', period=10)


# -- writing -----------------------------------------------------------------


def _add(
    parent: ElementTree.Element, tag: str, /, **attributes: object
) -> ElementTree.Element:
    written = {name: _plain(value) for name, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, written)


def _leaf(
    parent: ElementTree.Element,
    tag: str,
    content: object,
    /,
    **attributes: object,
) -> None:
    _add(parent, tag, **attributes).text = _plain(content)


def _plain(value: object) -> str:
    """Return a value as one line of what XML can hold."""
    text = _UNWRITABLE.sub('\N{REPLACEMENT CHARACTER}', str(value))
    return _BREAKS.sub(' ', text)


def _text(root: ElementTree.Element) -> str:
    ElementTree.register_namespace(PREFIX, NAMESPACE)
    return ElementTree.tostring(root, encoding='unicode')
