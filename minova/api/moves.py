# SPDX-License-Identifier: Apache-2.0
"""Resize and migration: a server changes its size or its host.

The move begins here, durably; then a conductor is asked where to, and the
reply waits for its answer, because "there is no place" is an answer that the
user shall have at once. When no conductor answers in time the move goes on
all the same, as soon as one is back.
"""

from typing import Any

from oslo_log import log as logging

from minova import exception
from minova import states
from minova.api import boot_images
from minova.api import flavor_lookup
from minova.api import quotas
from minova.api.ask import Ask
from minova.api.schemas import types
from minova.conf import CONF
from minova.db import instances
from minova.db import moves
from minova.db.engine import Connection
from minova.objects.instance import Instance
from minova.operations import begin

LOG = logging.getLogger(__name__)

_MIGRATE = 'os_compute_api:os-migrate-server'


def resize(ask: Ask, server_id: str) -> None:
    """Begin to give a server another flavor, on another host."""
    wanted = ask.body['resize']

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        old = instance.flavor
        new = flavor_lookup.usable(connection, ask, str(wanted['flavorRef']))
        if new.id == old.id:
            raise exception.CannotResizeToSameFlavor(flavor=new.name)
        if new.root_gb < old.root_gb or new.ephemeral_gb < old.ephemeral_gb:
            raise exception.CannotResizeDisk(
                reason='a disk cannot be made smaller.', root_gb=old.root_gb
            )
        boot_images.require_still_fit(instance.image_meta, new)
        quotas.require(connection, instance.project_id, [new], [old])
        _note_disk_config(connection, instance, wanted)
        return {'flavor': new.as_dict(), 'host': None}

    if quotas.any_limit():
        quotas.prepare(ask.database, ask.server(server_id).project_id)
    begun = ask.begin('resize', server_id, prepare)
    _move(ask, begun, live=False)


def _note_disk_config(
    connection: Connection, instance: Instance, wanted: dict[str, Any]
) -> None:
    if 'OS-DCF:diskConfig' in wanted:
        automatic = wanted['OS-DCF:diskConfig'] == 'AUTO'
        instances.update(
            connection,
            instance.uuid,
            {'auto_disk_config': automatic},
            instance.generation,
            instance.task_id,
        )


def migrate(ask: Ask, server_id: str) -> None:
    """Begin to move a server that is off meanwhile."""
    host = (ask.body['migrate'] or {}).get('host')
    if host is not None:
        ask.require(f'{_MIGRATE}:migrate:host')

    def prepare(connection: Connection, instance: Instance) -> begin.Params:
        _require_other_host(instance, host)
        return {'host': host}

    begun = ask.begin('migrate', server_id, prepare)
    _move(ask, begun, live=False)


def _require_other_host(instance: Instance, host: str | None) -> None:
    if host is not None and host in (instance.host, instance.node):
        raise exception.UnableToMigrateToSelf(
            instance_id=instance.uuid, host=host
        )


def migrate_live(ask: Ask, server_id: str) -> None:
    """Begin to move a server that runs on.

    From 2.34 on the reply does not wait for the checks.
    """
    asked = ask.body['os-migrateLive']
    if asked['host'] is not None:
        ask.require(f'{_MIGRATE}:migrate_live:host')
    block_migration = asked['block_migration']
    params = {
        'host': asked['host'],
        'block_migration': (
            None if block_migration == 'auto' else types.truth(block_migration)
        ),
        'disk_over_commit': (
            types.truth(asked['disk_over_commit'])
            if 'disk_over_commit' in asked
            else None
        ),
    }
    begun = ask.begin('live_migrate', server_id, lambda c, i: dict(params))
    if ask.version >= 34:
        ask.wake(begun)
    else:
        _move(ask, begun, live=True)


def _move(ask: Ask, begun: begin.Begun, live: bool) -> None:
    """Ask a conductor where to; raise what it answers in time."""
    params = begun.operation.params

    def migrate_server() -> None:
        ask.backend.conductor.migrate_server(
            ask.context,
            instance=begun.instance,
            scheduler_hint={'host': params['host']},
            live=live,
            flavor=params.get('flavor'),
            block_migration=params.get('block_migration'),
            disk_over_commit=params.get('disk_over_commit'),
            step=begun.first_step,
        )

    try:
        ask.backend.beside.ask(CONF.api.conductor_timeout, migrate_server)
    except exception.Unavailable as error:
        LOG.warning(
            'The %s of %s has begun and waits for a conductor: %s',
            begun.operation.kind,
            begun.instance.uuid,
            error,
        )


def confirm(ask: Ask, server_id: str) -> None:
    """Confirm a resize or a migration."""
    ask.wake(ask.begin('confirm_resize', server_id, _finished))


def revert(ask: Ask, server_id: str) -> None:
    """Take a resize or a migration back."""
    ask.wake(ask.begin('revert_resize', server_id, _finished))


def _finished(connection: Connection, instance: Instance) -> begin.Params:
    move = moves.finished(connection, instance.uuid)
    if move is None:
        raise exception.InstanceInvalidState(
            operation=states.TABLE['confirm_resize'].verb,
            instance_id=instance.uuid,
            attribute='vm_state',
            state=f'{instance.vm_state} without a finished move',
            needed='only what was resized or migrated is confirmed or '
            'reverted',
        )
    return {'migration': move.id}
