# SPDX-License-Identifier: Apache-2.0
"""Test images, callers, and a crash at any system call."""

import dataclasses
import hashlib
import io
import os
import struct

from minova import clock
from minova import images
from minova.images import embedded
from tests.unit.identity import base

RAW = b'\x00' * 510 + b'\x55\xaa' + b'disk' * 1000


@dataclasses.dataclass(frozen=True)
class Caller:
    """A caller."""

    project_id: str | None
    roles: tuple = ('member', 'reader')
    user_id: str = 'someone'

    @property
    def is_admin(self):
        return 'admin' in self.roles


OWNER = Caller('ours')
OTHER = Caller('theirs')
READER = Caller('ours', ('reader',))
ADMIN = Caller('staff', ('admin', 'manager', 'member', 'reader'))
UNSCOPED = Caller(None, ())


def qcow2(
    version=3,
    backing=(0, 0),
    cluster_bits=16,
    size=1 << 30,
    encryption=0,
    features=0,
    magic=b'QFI\xfb',
):
    """Return a file with a qcow2 header of these values."""
    head = struct.pack(
        '>4sIQIIQI', magic, version, *backing, cluster_bits, size, encryption
    )
    rest = bytes(72 - len(head)) + struct.pack(
        '>QQQII', features, 0, 0, 4, 104
    )
    # Eight zeros end the header extensions.
    return head + rest + bytes(8) + b'clusters' * 100


def sums(data):
    """Return the image fields for its data."""
    return {
        'size': len(data),
        'checksum': hashlib.md5(data).hexdigest(),
        'hash_algo': 'sha512',
        'hash_value': hashlib.sha512(data).hexdigest(),
    }


def image(**changes):
    """Return a queued raw image of OWNER's."""
    now = clock.now()
    made = images.Image(
        id=clock.uuid4(),
        name='one',
        status='queued',
        disk_format='raw',
        container_format='bare',
        size=None,
        virtual_size=None,
        min_disk=0,
        min_ram=0,
        checksum=None,
        hash_algo=None,
        hash_value=None,
        owner=OWNER.project_id,
        visibility='private',
        protected=False,
        hidden=False,
        tags=(),
        properties={},
        created_at=now,
        updated_at=now,
    )
    return dataclasses.replace(made, **changes)


class TestCase(base.TestCase):
    """Gives each test an empty directory of images."""

    def setUp(self):
        super().setUp()
        self.store = embedded.EmbeddedImages(self.file('images'))

    def add(self, data=None, **changes):
        """Add an image, with data if given; return it."""
        made = image(**changes)
        self.store.add(made)
        if data is not None:
            return self.store.upload(made.id, io.BytesIO(data))
        return made

    def stored(self):
        """Return the names in the directory, without its locks."""
        names = os.listdir(self.file('images'))
        return [name for name in names if name != '.locks']

    def read(self, *names):
        with open(self.file(*names), 'rb') as file:
            return file.read()
