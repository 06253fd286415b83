# SPDX-License-Identifier: Apache-2.0
"""What one guest is being handed over, in a directory of the destination.

::

    COMING/invitation.json   who may hand over; without it nobody may
    COMING/files/            the guest's files, as far as they have come

When all has come ``files`` is renamed: that it is not there any more is how
the destination knows that the guest has arrived. A base, on which disks of
several guests may stand, comes into a directory of its own under a name that
is not its own, and gets its own when it is whole.

What was found to be whole is remembered by this process only. After a restart
it must be compared again.
"""

import contextlib
import dataclasses
import errno
import hmac
import os
import re
from typing import Any
from typing import Protocol

import orjson

from minova import clock
from minova.virt.transfer import ranges

#: Of these is what may come called; no directories are in it.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')
#: Digests that are compared at a time.
MOST = 64
_LARGEST = 1 << 60


class Refusal(Exception):
    """A request is not granted; its status and text go to who asks."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Plan:
    """What will come.

    ``files`` and ``bases`` are sizes in bytes, by name; ``overlays`` says on
    which base, of which format, a file stands. With ``shared`` the files are
    there already, because both hosts see the same directory.
    """

    files: dict[str, int]
    bases: dict[str, int]
    overlays: dict[str, tuple[str, str]]
    shared: bool

    @classmethod
    def of(cls, form: Any) -> 'Plan':
        """Read a plan; Refusal for one that cannot be meant."""
        try:
            plan = cls(
                {str(name): int(size) for name, size in form['files'].items()},
                {str(name): int(size) for name, size in form['bases'].items()},
                {
                    str(name): (str(base), str(kind))
                    for name, (base, kind) in form['overlays'].items()
                },
                bool(form['shared']),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refusal(400, f'this is no plan: {error!r}') from error
        for name in (*plan.files, *plan.bases, *plan.overlays):
            if not _NAME.fullmatch(name):
                raise Refusal(400, f'{name!r} is no name of a file')
        for size in (*plan.files.values(), *plan.bases.values()):
            if not 0 <= size < _LARGEST:
                raise Refusal(400, f'{size} is no size of a file')
        for base, _ in plan.overlays.values():
            if base not in plan.bases:
                raise Refusal(400, f'{base!r} is not among the bases')
        return plan

    def as_dict(self) -> dict[str, Any]:
        """Return what ``of`` reads."""
        return dataclasses.asdict(self)


class Place(Protocol):
    """Where a destination keeps things; all names are its own."""

    def coming(self, uuid: str) -> str:
        """Return the directory of what comes for a guest."""

    def base(self, name: str) -> str:
        """Return the path that a base has, or would have."""

    def base_part(self, uuid: str, name: str) -> str:
        """Return its path while it comes, in the same directory."""

    def settle(self, uuid: str, plan: Plan) -> None:
        """Make what has come the guest's own, in one instant.

        Raises OSError, and Refusal for what is not fit to be used.
        """


class Reception:
    """What comes for one guest, by one invitation."""

    def __init__(self, uuid: str, token: str, place: Place) -> None:
        self.token = token
        self.guard = clock.lock()
        self._uuid = uuid
        self._place = place
        self._files = os.path.join(place.coming(uuid), 'files')
        self._plan: Plan | None = None
        #: Blocks that are as the source says, by path.
        self._whole: dict[str, set[int]] = {}

    # -- what will come ------------------------------------------------------

    def plan(self, form: Any) -> dict[str, Any]:
        """Make room; tell whether all of it has arrived before."""
        plan = Plan.of(form)
        if not plan.shared and not os.path.isdir(self._files):
            return {'arrived': True}
        self._whole.clear()
        if not plan.shared:
            for name in os.listdir(self._files):
                if name not in plan.files:
                    os.unlink(os.path.join(self._files, name))
            for name, size in plan.files.items():
                _make(os.path.join(self._files, name), size)
        for name, size in plan.bases.items():
            self._make_base(name, size)
        self._plan = plan
        return {'arrived': False}

    def _make_base(self, name: str, size: int) -> None:
        path = self._place.base(name)
        try:
            found = os.stat(path).st_size
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _make(self._place.base_part(self._uuid, name), size)
            return
        if found != size:
            raise Refusal(
                409,
                f'{path} has {found} bytes, that of the source {size}: they '
                'are not the same image',
            )

    def _require_plan(self) -> Plan:
        if self._plan is None:
            # As after a restart: whoever sends begins anew.
            raise Refusal(503, 'it is not known what will come')
        return self._plan

    def _find(self, kind: str, name: str) -> tuple[str, int, bool]:
        """Return path and size, and whether it may be written."""
        plan = self._require_plan()
        if kind == 'files' and name in plan.files:
            return os.path.join(self._files, name), plan.files[name], True
        if kind == 'bases' and name in plan.bases:
            path = self._place.base(name)
            if os.path.exists(path):
                return path, plan.bases[name], False
            part = self._place.base_part(self._uuid, name)
            return part, plan.bases[name], True
        raise Refusal(404, f'{kind}/{name} is not in the plan')

    # -- what comes ----------------------------------------------------------

    def compare(self, kind: str, name: str, form: Any) -> dict[str, Any]:
        """Tell which blocks are not as the source says; the others are kept.

        What was written is on the disk, not only in memory, when it is
        compared.
        """
        path, size, writable = self._find(kind, name)
        try:
            first, wanted = int(form['first']), list(form['digests'])
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal(400, f'no digests: {error!r}') from error
        if first < 0 or not 0 < len(wanted) <= MOST:
            raise Refusal(400, f'{len(wanted)} digests from {first}')
        with open(path, 'r+b' if writable else 'rb') as file:
            if writable:
                os.fdatasync(file.fileno())
            found = ranges.digests(file.fileno(), size, first, len(wanted))
        if len(found) != len(wanted):
            raise Refusal(400, f'{path} has no {len(wanted)} from {first}')
        differ = [
            first + position
            for position, (one, other) in enumerate(
                zip(wanted, found, strict=True)
            )
            if one != other
        ]
        if differ and not writable:
            raise Refusal(
                409, f'{path} is not what the source has by that name'
            )
        own = self._whole.setdefault(path, set())
        own.update(range(first, first + len(wanted)))
        own.difference_update(differ)
        return {'differ': differ}

    def write(
        self, kind: str, name: str, number: int, cells: int, body: bytes
    ) -> dict[str, Any]:
        """Write a block."""
        path, size, writable = self._find(kind, name)
        if not 0 <= number < ranges.count(size):
            raise Refusal(400, f'{name} has no block {number}')
        try:
            block = ranges.unpack(cells, body, ranges.length(size, number))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        if not writable:
            # Somebody else has brought it meanwhile; it is compared again.
            return {}
        self._whole.get(path, set()).discard(number)
        with open(path, 'r+b') as file:
            ranges.write(file.fileno(), number, block)
        return {}

    # -- it has come ---------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Give everything its name, or tell what must be compared before."""
        plan = self._require_plan()
        missing = [
            f'{kind}/{name}'
            for kind, names in (('bases', plan.bases), ('files', plan.files))
            for name in names
            if not (plan.shared and kind == 'files')
            and not self._is_whole(kind, name)
        ]
        if not missing:
            missing = [
                f'bases/{name}'
                for name in plan.bases
                if not self._name_base(name)
            ]
        if not missing:
            self._place.settle(self._uuid, plan)
        return {'missing': missing}

    def _is_whole(self, kind: str, name: str) -> bool:
        path, size, _ = self._find(kind, name)
        return len(self._whole.get(path, ())) == ranges.count(size)

    def _name_base(self, name: str) -> bool:
        """Give a base its name; False when another one took it meanwhile."""
        path = self._place.base(name)
        part = self._place.base_part(self._uuid, name)
        # One that has its name was compared under this name.
        named = os.path.exists(path)
        if not named:
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            sync_directory(os.path.dirname(path))
            self._whole[path] = self._whole.pop(part, set())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return True


# -- invitations -------------------------------------------------------------


def invite(folder: str, invitation: dict[str, Any]) -> None:
    """Let somebody hand over, in a directory that is there."""
    os.makedirs(os.path.join(folder, 'files'), exist_ok=True)
    path = _invitation(folder)
    number = os.open(
        f'{path}.part', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    with os.fdopen(number, 'wb') as file:
        file.write(orjson.dumps(invitation))
        file.flush()
        os.fsync(number)
    os.replace(f'{path}.part', path)
    sync_directory(folder)


def invited(folder: str) -> dict[str, Any] | None:
    """Return the invitation that holds; None when nobody is invited."""
    try:
        with open(_invitation(folder), 'rb') as file:
            found: dict[str, Any] = orjson.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None
    return found


def has_arrived(folder: str) -> bool:
    """Tell whether what somebody was invited for has come."""
    return not os.path.isdir(os.path.join(folder, 'files'))


class Receptions:
    """All that comes to a host."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._guard = clock.lock()
        self._known: dict[str, Reception] = {}

    @contextlib.contextmanager
    def admit(self, uuid: str, token: str) -> Any:
        """Have a reception to oneself; Refusal without its token.

        Who is refused does not learn whether there is such a guest.
        """
        reception = self._of(uuid, token)
        with reception.guard:
            # It may have been taken back while another request was served.
            if self._of(uuid, token) is not reception:
                raise Refusal(403, 'another invitation holds')
            yield reception

    def _of(self, uuid: str, token: str) -> Reception:
        found = invited(self._place.coming(uuid))
        with self._guard:
            if found is None:
                self._known.pop(uuid, None)
            elif hmac.compare_digest(
                str(found['token']).encode(), token.encode()
            ):
                known = self._known.get(uuid)
                if known is None or known.token != token:
                    known = Reception(uuid, token, self._place)
                    self._known[uuid] = known
                return known
        raise Refusal(
            403, 'there is no invitation with this token, or not any more'
        )


def _invitation(folder: str) -> str:
    return os.path.join(folder, 'invitation.json')


def _make(path: str, size: int) -> None:
    """Have a file of so many bytes; what is in it stays."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        if os.fstat(number).st_size != size:
            os.ftruncate(number, size)
    finally:
        os.close(number)


def sync_directory(path: str) -> None:
    """Have the names in a directory on the disk."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        # Some file systems of networks have no such thing.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)
