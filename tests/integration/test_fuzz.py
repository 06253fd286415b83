# SPDX-License-Identifier: Apache-2.0
"""A short fuzz of an all-in-one; ``python -m tests.fuzz`` runs a long one."""

import os

from minova.conf import CONF
from tests import base
from tests.fuzz import process
from tests.fuzz.campaign import Campaign

_REQUESTS = 3000
#: Seconds for a reply. On a busy machine a key pair takes long; the limit
#: guards against a server that does not answer at all.
_PATIENCE = 20


class FuzzTest(base.TestCase):
    """Requests of five callers to every endpoint."""

    def test_some_thousand_requests(self):
        CONF([], project='minova', default_config_files=[])
        seed = os.environ.get('MINOVA_SEED', '1')
        started = process.Process(self.directory)
        with started.started() as (url, password):
            campaign = Campaign(url, password, seed, _PATIENCE, started.memory)
            campaign.run(0, _REQUESTS, 4)
            campaign.finish()
            report = campaign.report
            report.failures += started.complaints()
            if found := started.audit():
                report.failures.append(found)
        if report.failures:
            self.fail('\n'.join(report.summary()))
        self.assertEqual(_REQUESTS, sum(report.counts.values()))
        statuses = {status for _, _, status in report.counts}
        self.assertEqual(set(), {200, 202, 204, 400, 401, 403, 404} - statuses)
