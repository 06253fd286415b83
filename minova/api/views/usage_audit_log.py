# SPDX-License-Identifier: Apache-2.0
"""The log of the usage audit of one period."""

from collections.abc import Iterable
from collections.abc import Set

from minova.api.views import Document
from minova.db.queries import usage_audits
from minova.db.queries.usage_audits import HostAudit
from minova.objects.audit_period import AuditPeriod


def log(
    period: AuditPeriod, audits: Iterable[HostAudit], known_hosts: Set[str]
) -> Document:
    """Return the log; ``known_hosts`` are those that have to be audited."""
    by_host = {audit.host: audit for audit in audits}
    missing = sorted(known_hosts - by_host.keys())
    hosts = len(by_host) + len(missing)
    done = sum(audit.state == usage_audits.DONE for audit in by_host.values())
    who = 'ALL hosts' if done == hosts else f'{done} of {hosts} hosts'
    return {
        'period_beginning': f'{period.beginning:%Y-%m-%d %H:%M:%S}',
        'period_ending': f'{period.ending:%Y-%m-%d %H:%M:%S}',
        'num_hosts': hosts,
        'num_hosts_done': done,
        'num_hosts_running': len(by_host) - done,
        'num_hosts_not_run': len(missing),
        'hosts_not_run': missing,
        'total_instances': sum(a.instances for a in by_host.values()),
        'total_errors': 0,
        'overall_status': f'{who} done. 0 errors.',
        'log': {host: _host(audit) for host, audit in by_host.items()},
    }


def _host(audit: HostAudit) -> Document:
    message = f'{audit.instances} instances so far'
    if audit.finished_at is not None:
        spent = (audit.finished_at - audit.started_at).total_seconds()
        message = f'{audit.instances} instances in {spent:.1f} seconds'
    return {
        'state': audit.state,
        'instances': audit.instances,
        'errors': 0,
        'message': message,
    }
