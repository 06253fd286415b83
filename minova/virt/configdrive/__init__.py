# SPDX-License-Identifier: Apache-2.0
"""The config drive: a small disk that tells a guest its configuration.

Pure functions: a GuestSpec becomes the bytes of a disk image, always the same
bytes for the same GuestSpec. A drive that is lost is therefore built again, on
any host. The format is the one that cloud-init and cloudbase-init find by the
label ``config-2``: https://docs.openstack.org/nova/latest/user/metadata.html

========= ====================================================================
module    what it holds
========= ====================================================================
documents the files on the drive
network   network_data.json
iso       the ISO 9660 image of the files
========= ====================================================================
"""

from minova.virt.configdrive import documents
from minova.virt.configdrive import iso
from minova.virt.driver import GuestSpec

#: The volume label, by which guests find the drive.
LABEL = 'config-2'


def build_image(spec: GuestSpec) -> bytes:
    """Return the image of the config drive of a spec that has one."""
    return iso.build_image(LABEL, documents.build_files(spec))
