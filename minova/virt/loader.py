# SPDX-License-Identifier: Apache-2.0
"""Which driver a host gets: the one place that knows all of them."""

import importlib
from types import ModuleType
from typing import cast

from minova import exception
from minova.conf import CONF
from minova.virt.driver import Driver
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.remote import RemoteDriver
from minova.virt.fake.world import open_record_store
from minova.virt.fake.world import World

_EMBEDDED_URI = 'test:///'


def load_driver(host: str) -> Driver:
    """Return the driver of ``host`` that ``[compute] compute_driver`` names.

    Raises ConfigInvalid when the configuration asks for what is not there,
    or when another process runs the host; Unavailable when the hypervisor is
    a process that does not answer yet.
    """
    if CONF.compute.compute_driver == 'fake':
        if CONF.fake.socket:
            return RemoteDriver(host, CONF.fake.socket)
        return FakeDriver(host, World(open_record_store()))
    return _load_libvirt(host, CONF.libvirt.connection_uri)


def _load_libvirt(host: str, uri: str) -> Driver:
    if uri.startswith('test:') and uri != _EMBEDDED_URI:
        raise exception.ConfigInvalid(
            reason=f'[libvirt] connection_uri is {uri}. Of the test driver '
            f'only {_EMBEDDED_URI} can be used; what it stands for is kept in '
            '[libvirt] embedded_directory.'
        )
    if uri != _EMBEDDED_URI and not uri.startswith('qemu'):
        raise exception.ConfigInvalid(
            reason=f'[libvirt] connection_uri is {uri}. There are drivers for '
            f'QEMU (qemu:///system and the like) and for {_EMBEDDED_URI}.'
        )
    module = import_libvirt_module(
        'embedded.driver' if uri == _EMBEDDED_URI else 'qemu.driver'
    )
    return cast(Driver, module.open_driver(host))


def import_libvirt_module(name: str) -> ModuleType:
    """Return a module of ``virt.libvirt``.

    libvirt-python is large and an extra; who does not drive libvirt does
    without it. Raises ConfigInvalid when it is not there.
    """
    try:
        importlib.import_module('libvirt')
    except ImportError as error:
        raise exception.ConfigInvalid(
            reason='The libvirt driver needs the package libvirt-python, '
            f'which the extra minova[libvirt] brings: {error}'
        ) from error
    return importlib.import_module(f'minova.virt.libvirt.{name}')
