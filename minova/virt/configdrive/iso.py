# SPDX-License-Identifier: Apache-2.0
"""Files as an ISO 9660 image, with Rock Ridge and Joliet, always the same.

Made by pycdlib: pure Python, typed, with releases for every Python that is
supported, and nothing to be installed beside; genisoimage, which does the
same, has not been maintained for many years and would be a process more.

Linux shows the names of Rock Ridge, Windows those of Joliet; the plain names
between are numbers, nobody sees them. pycdlib writes the time at which, and
the time zone in which, an image is made. Each of its times is therefore
overwritten, where the standards say that it stands: ECMA-119 for volumes and
directories, the Rock Ridge Interchange Protocol (``TF``) for files.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import io
import struct

import pycdlib

_SECTOR = 2048
#: The first volume descriptor, and what the last one is marked with.
_FIRST = 16
_LAST = 255
_PRIMARY, _JOLIET = 1, 2
#: ECMA-119 8.4.26: four times from here, the third of them is when the volume
#: expires.
_VOLUME_TIMES = 813
_ROOT = 156
_IS_DIRECTORY = 2
#: Where a directory record has its time, and where its name begins.
_RECORD_TIME, _RECORD_NAME = 18, 33
_LONG = 0x80
#: 2000-01-01 00:00 UTC, in the long form and the short one.
_TIME = b'2000010100000000\0'
_SHORT_TIME = bytes((100, 1, 1, 0, 0, 0, 0))
_NO_TIME = b'0' * 16 + b'\0'


def build_image(label: str, files: Mapping[str, bytes]) -> bytes:
    """Return an image of ``files``, by their paths without a first slash."""
    disc = pycdlib.PyCdlib()
    disc.new(
        interchange_level=3,
        vol_ident=label,
        app_ident_str='Minova',
        joliet=3,
        rock_ridge='1.09',
    )
    try:
        plain = _add_directories(disc, files)
        for number, (path, content) in enumerate(files.items()):
            folder, _, name = path.rpartition('/')
            disc.add_fp(
                io.BytesIO(content),
                len(content),
                f'{plain[folder]}/F{number:03d}.;1',
                rr_name=name,
                joliet_path=f'/{path}',
                file_mode=0o100444,
            )
        made = io.BytesIO()
        disc.write_fp(made)
    finally:
        disc.close()
    data = bytearray(made.getvalue())
    _set_times(data)
    return bytes(data)


def _add_directories(
    disc: pycdlib.PyCdlib, files: Mapping[str, bytes]
) -> dict[str, str]:
    """Make the directories of the files; return their plain paths."""
    plain = {'': ''}
    for path in files:
        for folder in _folders(path):
            if folder in plain:
                continue
            parent, _, name = folder.rpartition('/')
            plain[folder] = f'{plain[parent]}/D{len(plain):03d}'
            disc.add_directory(
                plain[folder],
                rr_name=name,
                joliet_path=f'/{folder}',
                file_mode=0o040555,
            )
    return plain


def _folders(path: str) -> Iterator[str]:
    place = path.find('/')
    while place >= 0:
        yield path[:place]
        place = path.find('/', place + 1)


# -- the times ---------------------------------------------------------------


def _set_times(data: bytearray) -> None:
    for sector in range(_FIRST, len(data) // _SECTOR):
        start = sector * _SECTOR
        if data[start] == _LAST:
            return
        if data[start] in (_PRIMARY, _JOLIET):
            for number, time in enumerate((_TIME, _TIME, _NO_TIME, _TIME)):
                at = start + _VOLUME_TIMES + number * len(time)
                data[at : at + len(time)] = time
            _set_time_of_record(data, start + _ROOT)
            _set_times_below(data, start + _ROOT)


def _set_times_below(data: bytearray, record: int) -> None:
    """Set the times in the directory of a record, and of those below."""
    (first,) = struct.unpack_from('<I', data, record + 2)
    (length,) = struct.unpack_from('<I', data, record + 10)
    place, end = first * _SECTOR, first * _SECTOR + length
    while place < end:
        size = data[place]
        if size == 0:
            # No record crosses the end of a sector; the rest is empty.
            place += _SECTOR - place % _SECTOR
            continue
        _set_time_of_record(data, place)
        named = data[place + _RECORD_NAME - 1]
        itself = named == 1 and data[place + _RECORD_NAME] in (0, 1)
        if data[place + 25] & _IS_DIRECTORY and not itself:
            _set_times_below(data, place)
        used = place + _RECORD_NAME + named + (named + 1) % 2
        _set_times_of_file(data, used, place + size)
        place += size


def _set_time_of_record(data: bytearray, record: int) -> None:
    at = record + _RECORD_TIME
    data[at : at + len(_SHORT_TIME)] = _SHORT_TIME


def _set_times_of_file(data: bytearray, place: int, end: int) -> None:
    """Set the times that Rock Ridge has between two places."""
    # Each entry is two letters, its length and a version. None goes on
    # elsewhere (CE): Joliet takes no name that is too long for one record.
    while place + 4 <= end and data[place + 2] >= 4:
        kind, size = bytes(data[place : place + 2]), data[place + 2]
        if kind == b'TF':
            time = _TIME if data[place + 4] & _LONG else _SHORT_TIME
            for at in range(place + 5, place + size, len(time)):
                data[at : at + len(time)] = time
        place += size
