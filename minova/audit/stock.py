# SPDX-License-Identifier: Apache-2.0
"""Rules about guests, disks and reserved addresses: laws 1, 2 and 9.

What is another host's is put away only when nothing can be lost by it: the
instance is deleted, or its own host was asked and has guest and disks, and
runs the guest if the stray one runs.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.view import is_on
from minova.audit.view import View
from minova.db.census import InstanceRow
from minova.objects.host import Holding

#: In these an instance has a guest and disks.
_WHOLE = (
    states.ACTIVE,
    states.PAUSED,
    states.SUSPENDED,
    states.STOPPED,
    states.RESCUED,
    states.RESIZED,
)


def find(view: View) -> Iterator[Finding]:
    """Compare what hosts have with whose it is."""
    for host, holdings in view.stocks.items():
        for holding in holdings:
            found = _look(view, host, holding)
            if found is not None:
                yield found
    for instance in view.living():
        if instance.host in view.stocks and not _is_moving(view, instance):
            yield from _what_is_missing(view, instance, str(instance.host))


def _is_moving(view: View, instance: InstanceRow) -> bool:
    busy = view.owner(instance) is not None
    return busy or view.explains(instance.uuid, str(instance.host))


# -- what is there -----------------------------------------------------------


def _look(view: View, host: str, holding: Holding) -> Finding | None:
    uuid = holding.uuid
    if view.explains(uuid, host):
        return None
    instance = view.records.instances.get(uuid)
    if instance is None:
        return _unknown(view, host, holding)
    if _is_only_reserved(holding):
        return _reservation(view, host, holding, instance)
    if instance.vm_state == states.DELETED:
        name = 'guest' if _has_guest(holding) else 'disks'
        if holding.arriving:
            return _finding(view, 'stray_arrival', host, holding, instance)
        return _finding(view, f'{name}_of_deleted', host, holding, instance)
    if instance.host == host:
        return _own(view, host, holding, instance)
    if view.keeps_way_back(uuid, host):
        if is_on(holding):
            return _finding(view, 'old_guest_runs', host, holding, instance)
        return None
    return _stray(view, host, holding, instance)


def _unknown(view: View, host: str, holding: Holding) -> Finding | None:
    if _has_guest(holding):
        if holding.generation is None and not _has_disks(holding):
            # Somebody else's guest on a machine that is not ours alone.
            return None
        return _finding(view, 'unknown_guest', host, holding, None)
    if _is_only_reserved(holding):
        return _finding(view, 'unknown_reservation', host, holding, None)
    return _finding(view, 'unknown_disks', host, holding, None)


def _reservation(
    view: View, host: str, holding: Holding, instance: InstanceRow
) -> Finding | None:
    gone = instance.vm_state == states.DELETED
    if not gone and instance.host == host:
        return None
    if view.keeps_way_back(holding.uuid, host):
        return None
    return _finding(view, 'stray_reservation', host, holding, instance)


def _own(
    view: View, host: str, holding: Holding, instance: InstanceRow
) -> Finding | None:
    # Without other ones they are its disks: its next start takes them back.
    spare = holding.aside and holding.disks
    if spare and not view.keeps_way_back(holding.uuid, host):
        if view.owner(instance) is not None:
            return None
        return _finding(view, 'stray_aside', host, holding, instance)
    seen, known = holding.power_state, instance.power_state
    if seen is not None and seen != known and not view.owner(instance):
        words = [states.Power(power).name for power in (seen, known)]
        return Finding(
            'power_differs',
            f'The guest is {words[0]}, the database says {words[1]}.',
            host=host,
            instance=instance.uuid,
            generation=instance.generation,
        )
    return None


def _stray(
    view: View, host: str, holding: Holding, instance: InstanceRow
) -> Finding:
    name = 'stray_guest' if _has_guest(holding) else 'stray_disks'
    if holding.arriving and not _has_disks(holding):
        name = 'stray_arrival'
    if is_on(holding) and len(view.runs_at(holding.uuid)) > 1:
        name = 'guest_twice'
    return _finding(view, name, host, holding, instance)


def _finding(
    view: View,
    name: str,
    host: str,
    holding: Holding,
    instance: InstanceRow | None,
) -> Finding:
    text = f'Host {host} has {_words(holding)}'
    if instance is None:
        text += '; there is no instance of that id.'
    elif instance.vm_state == states.DELETED:
        text += '; the instance is deleted.'
    elif instance.host == host:
        text += '; no move waits to be confirmed.'
    else:
        text += f'; the instance is on {instance.host or "no host"}.'
    running = view.runs_at(holding.uuid)
    if len(running) > 1:
        text += f' It runs on {" and ".join(running)}.'
    return Finding(
        name,
        text,
        host=host,
        instance=holding.uuid,
        generation=instance.generation if instance else None,
        facts={'mark': holding.generation},
        repairable=instance is None or _nothing_is_lost(view, holding, host),
    )


def _nothing_is_lost(view: View, holding: Holding, host: str) -> bool:
    instance = view.records.instances[holding.uuid]
    if instance.vm_state == states.DELETED or instance.host == host:
        return True
    if _is_only_reserved(holding):
        return True
    if instance.host is None:
        return instance.launched_at is None
    own = view.holdings.get((instance.host, holding.uuid))
    if own is None or own.power_state is None or not own.disks:
        # Room for a guest that does not come holds nobody's data.
        return holding.arriving and not _has_disks(holding)
    # Of an instance that is stopped too: what runs here wrote last.
    return not is_on(holding) or is_on(own)


def _has_guest(holding: Holding) -> bool:
    return holding.power_state is not None


def _has_disks(holding: Holding) -> bool:
    return (
        holding.disks
        or holding.aside
        or holding.scraps
        or holding.config_drive
    )


def _is_only_reserved(holding: Holding) -> bool:
    return (
        holding.reserved
        and not holding.arriving
        and not _has_guest(holding)
        and not _has_disks(holding)
    )


def _words(holding: Holding) -> str:
    words = []
    if holding.power_state is not None:
        mark = ''
        if holding.generation is not None:
            mark = f' of generation {holding.generation}'
        power = states.Power(holding.power_state).name
        words.append(f'a guest{mark} that is {power}')
    words += [
        text
        for has, text in (
            (holding.arriving, 'room for a guest that comes'),
            (holding.disks, 'its disks'),
            (holding.aside, 'disks set aside'),
            (holding.scraps, 'parts of disks'),
            (holding.config_drive, 'a config drive'),
            (holding.reserved, 'addresses kept by a network'),
        )
        if has
    ]
    return ', '.join(words)


# -- what is not there -------------------------------------------------------


def _what_is_missing(
    view: View, instance: InstanceRow, host: str
) -> Iterator[Finding]:
    if instance.vm_state not in _WHOLE:
        return
    holding = view.holdings.get((host, instance.uuid))
    if holding is not None and holding.disks and _has_guest(holding):
        return
    lost = holding is None or not holding.disks
    elsewhere = [
        f'{other} has {_words(found)}'
        for (other, uuid), found in sorted(view.holdings.items())
        if uuid == instance.uuid and other != host
    ]
    guest = 'a guest' if holding and _has_guest(holding) else 'no guest'
    text = f'The instance is {instance.vm_state}; {host} has {guest} and '
    text += 'no disks.' if lost else 'disks.'
    if elsewhere:
        text += f' But {"; ".join(elsewhere)}.'
    yield Finding(
        'disks_missing' if lost else 'guest_missing',
        text,
        host=host,
        instance=instance.uuid,
        generation=instance.generation,
    )
