# SPDX-License-Identifier: Apache-2.0
"""An ISO 9660 image with Rock Ridge and Joliet, always the same bytes.

pycdlib builds it: pure Python, typed, available for every supported Python and
without another package to install; genisoimage is unmaintained.

Linux shows the Rock Ridge names, Windows the Joliet names; the ISO 9660 names
are numbers. pycdlib writes the current time and time zone into an image, so
each of its times is overwritten at its place in the standards: ECMA-119 for
volumes and directories, the Rock Ridge Interchange Protocol (``TF``) for
files.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import io
import struct

import pycdlib

_SECTOR = 2048
#: The offset of the first volume descriptor, and the type of the last one.
_FIRST = 16
_LAST = 255
_PRIMARY, _JOLIET = 1, 2
#: ECMA-119 8.4.26: the offset of four times; the third is the expiration.
_VOLUME_TIMES = 813
_ROOT = 156
_IS_DIRECTORY = 2
#: The offsets of the time and of the name in a directory record.
_RECORD_TIME, _RECORD_NAME = 18, 33
_LONG = 0x80
#: 2000-01-01 00:00 UTC, in the long and the short form.
_TIME = b'2000010100000000\0'
_SHORT_TIME = bytes((100, 1, 1, 0, 0, 0, 0))
_NO_TIME = b'0' * 16 + b'\0'


def build_image(label: str, files: Mapping[str, bytes]) -> bytes:
    """Return an image of ``files``, by paths without a leading slash."""
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
    """Add the directories of the files; return their ISO 9660 paths."""
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
    """Set the times in the directory of a record and below it."""
    (first,) = struct.unpack_from('<I', data, record + 2)
    (length,) = struct.unpack_from('<I', data, record + 10)
    place, end = first * _SECTOR, first * _SECTOR + length
    while place < end:
        size = data[place]
        if size == 0:
            # No record crosses a sector boundary; the rest is zero.
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
    """Set the Rock Ridge times between two offsets."""
    # An entry has two letters, a length and a version. No entry continues
    # elsewhere (CE), because Joliet limits the length of names.
    while place + 4 <= end and data[place + 2] >= 4:
        kind, size = bytes(data[place : place + 2]), data[place + 2]
        if kind == b'TF':
            time = _TIME if data[place + 4] & _LONG else _SHORT_TIME
            for at in range(place + 5, place + size, len(time)):
                data[at : at + len(time)] = time
        place += size
