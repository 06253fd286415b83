# SPDX-License-Identifier: Apache-2.0
"""Resize, cold migration and live migration; confirm and revert.

The operation begins here and is durable. Then a conductor selects the host,
and the reply waits for it, so that "no valid host" reaches the caller. When no
conductor replies in time, the operation continues without this request.
"""

from oslo_log import log as logging

from minova import exception
from minova import states
from minova.api.http.request import ApiRequest
from minova.api.resources import boot_images
from minova.api.resources import flavor_lookup
from minova.api.schemas import types
from minova.api.schemas.types import Json
from minova.conf import CONF
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import migrations
from minova.engine import begin
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.migration import Migration
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import MigrateParams
from minova.objects.operation_params import ResizeParams
from minova.objects.operation_params import UnconfirmedResizeParams
from minova.quotas import checks

LOG = logging.getLogger(__name__)

_MIGRATE = 'os_compute_api:os-migrate-server'


def resize(request: ApiRequest, server_id: str) -> None:
    """Begin a resize to another flavor."""
    requested = request.body['resize']

    def prepare(connection: Connection, instance: Instance) -> ResizeParams:
        old = instance.flavor
        new = flavor_lookup.get_usable(
            connection, request, requested['flavorRef']
        )
        if new.id == old.id:
            raise exception.CannotResizeToSameFlavor
        _require_disks_fit(old, new)
        if new.root_gb == 0:
            new = new.replace(image_gb=old.image_gb)
        boot_images.require_properties_fit(instance.image_meta, new)
        checks.ServerQuota(
            connection, instance.project_id, instance.user_id
        ).require_resize(old, new)
        _save_disk_config(connection, instance, requested)
        return ResizeParams(flavor=new)

    begun = request.begin('resize', server_id, prepare)
    params = ResizeParams.narrow(begun.operation.params)
    _call_conductor(request, begun, live=False, flavor=params.flavor)


def _require_disks_fit(old: Flavor, new: Flavor) -> None:
    root_gb = old.root_gb if new.root_gb == 0 else old.max_root_gb
    for disk, size, new_size in (
        ('root', root_gb, new.root_gb),
        ('ephemeral', old.ephemeral_gb, new.ephemeral_gb),
    ):
        if new_size < size:
            raise exception.CannotResizeDisk(
                disk=disk, size=size, new_size=new_size, flavor=new.name
            )


def _save_disk_config(
    connection: Connection, instance: Instance, requested: Json
) -> None:
    if 'OS-DCF:diskConfig' in requested:
        automatic = requested['OS-DCF:diskConfig'] == 'AUTO'
        instances.update(
            connection,
            instance.uuid,
            {'auto_disk_config': automatic},
            instance.generation,
            instance.task_id,
        )


def migrate(request: ApiRequest, server_id: str) -> None:
    """Begin a cold migration."""
    host = (request.body['migrate'] or {}).get('host')
    if host is not None:
        request.require(f'{_MIGRATE}:migrate:host')

    def prepare(connection: Connection, instance: Instance) -> MigrateParams:
        _require_other_host(instance, host)
        return MigrateParams(host=host)

    begun = request.begin('migrate', server_id, prepare)
    _call_conductor(request, begun, live=False, host=host)


def _require_other_host(instance: Instance, host: str | None) -> None:
    if host is not None and host in (instance.host, instance.node):
        raise exception.UnableToMigrateToSelf(
            instance_id=instance.uuid, host=host
        )


def migrate_live(request: ApiRequest, server_id: str) -> None:
    """Begin a live migration.

    From 2.34 on the reply does not wait for the checks.
    """
    requested = request.body['os-migrateLive']
    host = requested['host']
    if host is not None:
        request.require(f'{_MIGRATE}:migrate_live:host')
    block_migration = requested['block_migration']
    params = LiveMigrateParams(
        host=host,
        force=_is_forced(request, requested),
        block_migration=(
            None
            if block_migration == 'auto'
            else types.to_bool(block_migration)
        ),
        disk_over_commit=(
            types.to_bool(requested['disk_over_commit'])
            if 'disk_over_commit' in requested
            else None
        ),
    )
    begun = request.begin('live_migrate', server_id, lambda c, i: params)
    if request.version >= 34:
        request.wake(begun)
    else:
        _call_conductor(
            request,
            begun,
            live=True,
            host=params.host,
            block_migration=params.block_migration,
            disk_over_commit=params.disk_over_commit,
        )


def _is_forced(request: ApiRequest, requested: Json) -> bool:
    """Tell whether the operator takes the host although it is disabled.

    Below 2.30 the reference does not have a named host verified.
    """
    host = requested['host']
    if request.version < 30:
        return host is not None
    forced = types.to_bool(requested.get('force', False))
    if forced and host is None:
        raise exception.InvalidInput(
            'Invalid input for field/attribute force: there is no host to '
            'force the migration to. Name the host, or leave force out.'
        )
    return forced


def _call_conductor(
    request: ApiRequest,
    begun: begin.Begun,
    live: bool,
    host: str | None = None,
    flavor: Flavor | None = None,
    block_migration: bool | None = None,
    disk_over_commit: bool | None = None,
) -> None:
    """Have a conductor select the host; raise the error of its reply."""

    def migrate_server() -> None:
        request.backend.conductor.migrate_server(
            request.context,
            instance=begun.instance,
            scheduler_hint={'host': host},
            live=live,
            flavor=flavor.as_dict() if flavor else None,
            block_migration=block_migration,
            disk_over_commit=disk_over_commit,
            step=begun.first_step,
        )

    try:
        request.backend.timed_calls.call(
            CONF.api.conductor_timeout, migrate_server
        )
    except exception.Unavailable as error:
        LOG.warning(
            'Operation %s %s instance=%s: no conductor replied in time; the '
            'operation continues without the request: %s',
            begun.operation.id,
            begun.operation.kind,
            begun.instance.uuid,
            error,
        )


def confirm_resize(request: ApiRequest, server_id: str) -> None:
    """Confirm a resize or a cold migration."""
    request.wake(request.begin('confirm_resize', server_id, _prepare_confirm))


def revert_resize(request: ApiRequest, server_id: str) -> None:
    """Revert a resize or a cold migration; both its hosts must be up."""
    request.wake(request.begin('revert_resize', server_id, _prepare_revert))


def _prepare_confirm(
    connection: Connection, instance: Instance
) -> UnconfirmedResizeParams:
    migration = _get_finished_migration(connection, instance)
    return UnconfirmedResizeParams(migration_id=migration.id)


def _prepare_revert(
    connection: Connection, instance: Instance
) -> UnconfirmedResizeParams:
    migration = _get_finished_migration(connection, instance)
    # The guest would be off until its old host is back.
    begin.require_host_up(
        connection, 'revert_resize', instance, migration.source_host
    )
    return UnconfirmedResizeParams(migration_id=migration.id)


def _get_finished_migration(
    connection: Connection, instance: Instance
) -> Migration:
    migration = migrations.get_unconfirmed(connection, instance.uuid)
    if migration is None:
        raise exception.InstanceInvalidState(
            operation=states.TABLE['confirm_resize'].api_verb,
            instance_id=instance.uuid,
            attribute='vm_state',
            state=f'{instance.vm_state} without a finished migration',
            needed='resize or migrate the server first',
        )
    return migration
