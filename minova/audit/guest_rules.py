# SPDX-License-Identifier: Apache-2.0
"""Rules about guests, disks and reserved addresses: invariants 1, 2 and 9.

What is another host's is put away only when nothing can be lost by it: the
instance is deleted, or its own host was asked and has guest and disks, and
runs the guest if the stray one runs.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import is_running
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import InstanceRow
from minova.objects.host import HostArtifact

#: In these an instance has a guest and disks.
_COMPLETE_STATES = (
    states.ACTIVE,
    states.PAUSED,
    states.SUSPENDED,
    states.STOPPED,
    states.RESCUED,
    states.RESIZED,
)


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare what hosts have with whose it is."""
    for host, artifacts in snapshot.host_contents.items():
        for artifact in artifacts:
            found = _check_artifact(snapshot, host, artifact)
            if found is not None:
                yield found
    for instance in snapshot.list_existing():
        if instance.host in snapshot.host_contents and not _is_moving(
            snapshot, instance
        ):
            yield from _find_missing(snapshot, instance, str(instance.host))


def _is_moving(snapshot: Snapshot, instance: InstanceRow) -> bool:
    busy = snapshot.get_owner(instance) is not None
    return busy or snapshot.is_explained(instance.uuid, str(instance.host))


# -- what is there -----------------------------------------------------------


def _check_artifact(
    snapshot: Snapshot, host: str, artifact: HostArtifact
) -> Finding | None:
    uuid = artifact.uuid
    if snapshot.is_explained(uuid, host):
        return None
    instance = snapshot.database.instances.get(uuid)
    if instance is None:
        return _check_unknown(snapshot, host, artifact)
    if _is_only_reserved(artifact):
        return _check_reservation(snapshot, host, artifact, instance)
    if instance.vm_state == states.DELETED:
        name = 'guest' if _has_guest(artifact) else 'disks'
        if artifact.is_incoming:
            return _artifact_finding(
                snapshot, 'stray_incoming', host, artifact, instance
            )
        return _artifact_finding(
            snapshot, f'{name}_of_deleted', host, artifact, instance
        )
    if instance.host == host:
        return _check_own_host(snapshot, host, artifact, instance)
    if snapshot.is_resize_source(uuid, host):
        if is_running(artifact):
            return _artifact_finding(
                snapshot, 'source_guest_running', host, artifact, instance
            )
        return None
    return _stray_finding(snapshot, host, artifact, instance)


def _check_unknown(
    snapshot: Snapshot, host: str, artifact: HostArtifact
) -> Finding | None:
    if _has_guest(artifact):
        if artifact.generation is None and not _has_disks(artifact):
            # Somebody else's guest on a machine that is not ours alone.
            return None
        return _artifact_finding(
            snapshot, 'unknown_guest', host, artifact, None
        )
    if _is_only_reserved(artifact):
        return _artifact_finding(
            snapshot, 'unknown_reservation', host, artifact, None
        )
    return _artifact_finding(snapshot, 'unknown_disks', host, artifact, None)


def _check_reservation(
    snapshot: Snapshot,
    host: str,
    artifact: HostArtifact,
    instance: InstanceRow,
) -> Finding | None:
    gone = instance.vm_state == states.DELETED
    if not gone and instance.host == host:
        return None
    if snapshot.is_resize_source(artifact.uuid, host):
        return None
    return _artifact_finding(
        snapshot, 'stray_reservation', host, artifact, instance
    )


def _check_own_host(
    snapshot: Snapshot,
    host: str,
    artifact: HostArtifact,
    instance: InstanceRow,
) -> Finding | None:
    # Without other ones they are its disks: its next start takes them back.
    spare = artifact.has_retained_disks and artifact.has_disks
    if spare and not snapshot.is_resize_source(artifact.uuid, host):
        if snapshot.get_owner(instance) is not None:
            return None
        return _artifact_finding(
            snapshot, 'stray_retained_disks', host, artifact, instance
        )
    seen, known = artifact.power_state, instance.power_state
    if seen is not None and seen != known and not snapshot.get_owner(instance):
        words = [states.PowerState(power).name for power in (seen, known)]
        return Finding(
            'power_mismatch',
            f'The guest is {words[0]}, the database says {words[1]}.',
            host=host,
            instance=instance.uuid,
            generation=instance.generation,
        )
    return None


def _stray_finding(
    snapshot: Snapshot,
    host: str,
    artifact: HostArtifact,
    instance: InstanceRow,
) -> Finding:
    name = 'stray_guest' if _has_guest(artifact) else 'stray_disks'
    if artifact.is_incoming and not _has_disks(artifact):
        name = 'stray_incoming'
    if (
        is_running(artifact)
        and len(snapshot.list_running_hosts(artifact.uuid)) > 1
    ):
        name = 'duplicate_guest'
    return _artifact_finding(snapshot, name, host, artifact, instance)


def _artifact_finding(
    snapshot: Snapshot,
    name: str,
    host: str,
    artifact: HostArtifact,
    instance: InstanceRow | None,
) -> Finding:
    text = f'Host {host} has {_describe(artifact)}'
    if instance is None:
        text += '; there is no instance of that id.'
    elif instance.vm_state == states.DELETED:
        text += '; the instance is deleted.'
    elif instance.host == host:
        text += '; no move waits to be confirmed.'
    else:
        text += f'; the instance is on {instance.host or "no host"}.'
    running = snapshot.list_running_hosts(artifact.uuid)
    if len(running) > 1:
        text += f' It runs on {" and ".join(running)}.'
    return Finding(
        name,
        text,
        host=host,
        instance=artifact.uuid,
        generation=instance.generation if instance else None,
        repair_args={'guest_generation': artifact.generation},
        repairable=instance is None
        or _is_safe_to_remove(snapshot, artifact, host),
    )


def _is_safe_to_remove(
    snapshot: Snapshot, artifact: HostArtifact, host: str
) -> bool:
    instance = snapshot.database.instances[artifact.uuid]
    if instance.vm_state == states.DELETED or instance.host == host:
        return True
    if _is_only_reserved(artifact):
        return True
    if instance.host is None:
        return instance.launched_at is None
    own = snapshot.artifacts.get((instance.host, artifact.uuid))
    if own is None or own.power_state is None or not own.has_disks:
        # Room for a guest that does not come holds nobody's data.
        return artifact.is_incoming and not _has_disks(artifact)
    # Of an instance that is stopped too: what runs here wrote last.
    return not is_running(artifact) or is_running(own)


def _has_guest(artifact: HostArtifact) -> bool:
    return artifact.power_state is not None


def _has_disks(artifact: HostArtifact) -> bool:
    return (
        artifact.has_disks
        or artifact.has_retained_disks
        or artifact.has_partial_disks
        or artifact.has_config_drive
    )


def _is_only_reserved(artifact: HostArtifact) -> bool:
    return (
        artifact.has_reserved_addresses
        and not artifact.is_incoming
        and not _has_guest(artifact)
        and not _has_disks(artifact)
    )


def _describe(artifact: HostArtifact) -> str:
    words = []
    if artifact.power_state is not None:
        mark = ''
        if artifact.generation is not None:
            mark = f' of generation {artifact.generation}'
        power = states.PowerState(artifact.power_state).name
        words.append(f'a guest{mark} that is {power}')
    words += [
        text
        for has, text in (
            (artifact.is_incoming, 'room for a guest that comes'),
            (artifact.has_disks, 'its disks'),
            (artifact.has_retained_disks, 'disks set aside'),
            (artifact.has_partial_disks, 'parts of disks'),
            (artifact.has_config_drive, 'a config drive'),
            (artifact.has_reserved_addresses, 'addresses kept by a network'),
        )
        if has
    ]
    return ', '.join(words)


# -- what is not there -------------------------------------------------------


def _find_missing(
    snapshot: Snapshot, instance: InstanceRow, host: str
) -> Iterator[Finding]:
    if instance.vm_state not in _COMPLETE_STATES:
        return
    artifact = snapshot.artifacts.get((host, instance.uuid))
    if artifact is not None and artifact.has_disks and _has_guest(artifact):
        return
    lost = artifact is None or not artifact.has_disks
    elsewhere = [
        f'{other} has {_describe(found)}'
        for (other, uuid), found in sorted(snapshot.artifacts.items())
        if uuid == instance.uuid and other != host
    ]
    guest = 'a guest' if artifact and _has_guest(artifact) else 'no guest'
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
