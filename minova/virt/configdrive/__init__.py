# SPDX-License-Identifier: Apache-2.0
"""The config drive: a small disk by which a guest is told what it is.

Pure: from a Spec to the bytes of a disk image, the same bytes for the same
Spec, whenever and wherever it is made. So a drive that is lost is made again,
and no host has to remember it.

``documents`` says what stands in its files, ``network`` how the network is
described there, ``iso`` makes an ISO 9660 image of them. The format is the
one that cloud-init and cloudbase-init look for by the label ``config-2``:
https://docs.openstack.org/nova/latest/user/metadata.html
"""

from minova.virt.configdrive import documents
from minova.virt.configdrive import iso
from minova.virt.driver import GuestSpec

#: The label by which guests find the drive.
LABEL = 'config-2'


def build_image(spec: GuestSpec) -> bytes:
    """Return the image of the config drive of a spec that has one."""
    return iso.build_image(LABEL, documents.build_files(spec))
