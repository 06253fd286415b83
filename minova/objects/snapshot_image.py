# SPDX-License-Identifier: Apache-2.0
"""The image that a snapshot of a server becomes."""

from minova.objects import base


@base.register
class SnapshotImage(base.Object):
    """The record of an image before its data, as the API described it.

    ``owner`` is the project of the server. The disk format is that of the
    copy, which the host chooses.
    """

    VERSION = '1.0'

    id: str
    name: str
    owner: str
    container_format: str
    min_disk: int
    min_ram: int
    properties: dict[str, str]
