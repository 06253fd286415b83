# SPDX-License-Identifier: Apache-2.0
"""os-instance_usage_audit_log: the audits of usage, by host.

No audit of an instance fails for good, so there are no errors to count.
"""

import datetime
from typing import Final
from urllib import parse

from minova import clock
from minova import exception
from minova.api.http.request import ApiRequest
from minova.api.http.routes import Route
from minova.api.views import Document
from minova.api.views import usage_audit_log as views
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.db.queries import usage_audits
from minova.notifications import audit_period

_FORMAT: Final = '%Y-%m-%d %H:%M:%S.%f'


def index(request: ApiRequest) -> Document:
    """Show the audit of the newest period that has ended."""
    return {'instance_usage_audit_logs': _get_log(request, clock.now())}


def show(request: ApiRequest, before_timestamp: str) -> Document:
    """Show the audit of the newest period that ended before a time."""
    text = parse.unquote(before_timestamp)
    try:
        moment = datetime.datetime.strptime(text, _FORMAT)
        return {
            'instance_usage_audit_log': _get_log(
                request, moment.replace(tzinfo=datetime.UTC)
            )
        }
    except (ValueError, OverflowError):
        raise exception.InvalidInput(
            f'Invalid timestamp for date {text[:64]}: use the form '
            '2026-01-31 12:00:00.0, in UTC.'
        ) from None


def _get_log(request: ApiRequest, before: datetime.datetime) -> Document:
    period = audit_period.find_last(before)
    audits, services = request.database.read(
        lambda connection: (
            usage_audits.list_hosts(connection, period),
            hosts.list_services(connection, operations.COMPUTE_BINARY),
        )
    )
    return views.log(period, audits, {service.host for service in services})


_RULE: Final = 'os_compute_api:os-instance-usage-audit-log'
_PATH: Final = '/os-instance_usage_audit_log'
ROUTES: Final = (
    Route('GET', _PATH, index, f'{_RULE}:list'),
    Route('GET', f'{_PATH}/{{before_timestamp}}', show, f'{_RULE}:show'),
)
