# SPDX-License-Identifier: Apache-2.0
"""Rules about guests, disks and reserved addresses: invariants 1, 2 and 9.

A stray artifact is repairable only when its removal cannot lose data: its
instance is deleted, or the instance's own host was read and has guest and
disks, and runs the guest if the stray guest runs.
"""

from collections.abc import Iterator

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import is_running
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import InstanceRow
from minova.objects.host import HostArtifact

#: The vm_states in which an instance has a guest and disks.
_COMPLETE_STATES = (
    states.ACTIVE,
    states.PAUSED,
    states.SUSPENDED,
    states.STOPPED,
    states.RESCUED,
    states.RESIZED,
)


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare the contents of hosts with the hosts of instances."""
    for host, artifacts in snapshot.host_contents.items():
        for artifact in artifacts:
            found = _check_artifact(snapshot, host, artifact)
            if found is not None:
                yield found
    for instance in snapshot.list_existing():
        if instance.host in snapshot.host_contents and not _is_in_operation(
            snapshot, instance
        ):
            yield from _find_missing(snapshot, instance, str(instance.host))


def _is_in_operation(snapshot: Snapshot, instance: InstanceRow) -> bool:
    owned = snapshot.get_owner(instance) is not None
    return owned or snapshot.is_explained(instance.uuid, str(instance.host))


# -- stray and unknown artifacts ---------------------------------------------


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
            # A guest of another program: without Minova's metadata.
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
    deleted = instance.vm_state == states.DELETED
    if not deleted and instance.host == host:
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
    # Without other disks the next start of the guest restores them.
    superseded = artifact.has_retained_disks and artifact.has_disks
    if superseded and not snapshot.is_resize_source(artifact.uuid, host):
        if snapshot.get_owner(instance) is not None:
            return None
        if instance.vm_state == states.ERROR:
            # A resize or a rebuild was given up; the retained disks may be
            # the only good ones, and the next rebuild uses them.
            return None
        return _artifact_finding(
            snapshot, 'stray_retained_disks', host, artifact, instance
        )
    if artifact.has_snapshots and snapshot.get_owner(instance) is None:
        return _artifact_finding(
            snapshot, 'stray_snapshots', host, artifact, instance
        )
    actual, recorded = artifact.power_state, instance.power_state
    if actual in (None, recorded) or snapshot.get_owner(instance) is not None:
        return None
    return snapshot.instance_finding(
        'power_mismatch',
        f'The guest is {states.PowerState(actual).name}, the database has '
        f'{states.PowerState(recorded).name}.',
        instance.uuid,
        host=host,
    )


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
        text += '; the instance is unknown.'
    elif instance.vm_state == states.DELETED:
        text += '; the instance is deleted.'
    elif name == 'stray_snapshots':
        text += '; no operation uploads them.'
    elif instance.host == host:
        text += '; no migration waits for its confirmation.'
    else:
        text += f'; the instance is on {instance.host or "no host"}.'
    running = snapshot.list_running_hosts(artifact.uuid)
    if len(running) > 1:
        text += f' The guest runs on {" and ".join(running)}.'
    return snapshot.instance_finding(
        name,
        text,
        artifact.uuid,
        host=host,
        guest_generation=artifact.generation,
        is_repairable=instance is None
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
        # The disk of an offloaded server is its image.
        offloaded = instance.vm_state == states.SHELVED_OFFLOADED
        return instance.launched_at is None or offloaded
    own = snapshot.artifacts.get((instance.host, artifact.uuid))
    if own is None or own.power_state is None or not own.has_disks:
        # The preparation for an incoming guest has no data.
        return artifact.is_incoming and not _has_disks(artifact)
    # A running guest has the newest data, even of a stopped instance.
    return not is_running(artifact) or is_running(own)


def _has_guest(artifact: HostArtifact) -> bool:
    return artifact.power_state is not None


def _has_disks(artifact: HostArtifact) -> bool:
    return (
        artifact.has_disks
        or artifact.has_retained_disks
        or artifact.has_partial_disks
        or artifact.has_snapshots
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
    parts = []
    if artifact.power_state is not None:
        details = [states.PowerState(artifact.power_state).name]
        if artifact.generation is not None:
            details.insert(0, f'generation {artifact.generation}')
        parts.append(f'a guest ({", ".join(details)})')
    parts += [
        text
        for has, text in (
            (artifact.is_incoming, 'a prepared incoming guest'),
            (artifact.has_disks, 'disks'),
            (artifact.has_retained_disks, 'retained disks'),
            (artifact.has_partial_disks, 'partial disks'),
            (artifact.has_snapshots, 'copies of a disk'),
            (artifact.has_config_drive, 'a config drive'),
            (artifact.has_reserved_addresses, 'reserved addresses'),
        )
        if has
    ]
    return ', '.join(parts)


# -- missing artifacts -------------------------------------------------------


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
    yield snapshot.instance_finding(
        'disks_missing' if lost else 'guest_missing',
        text,
        instance.uuid,
        host=host,
    )
