# SPDX-License-Identifier: Apache-2.0
"""Abort a live migration."""

from tests.functional import base


class AbortTest(base.FlowTestCase):
    """An abort before and after the switch to the destination."""

    def test_abort(self):
        self.config(group='fake', migration_seconds=3600)
        uuid, source, dest, since = self.booted()
        self.cloud.begin('live_migrate', uuid, wait=False)
        host = self.cloud.instance(uuid).host
        driver = self.cloud.driver(host)
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.cloud.begin('abort_live_migrate', uuid)
        emitted = self.emitted(uuid, since)
        # The abort runs while the migration runs: the abort may end before
        # or after the begin of the rollback.
        abort = [line for line in emitted if 'abort' in line]
        self.assertEqual(
            [
                f'live.migration.abort.start [{source}]',
                f'live.migration.abort.end [{source}]',
            ],
            abort,
        )
        self.assertEqual(
            [
                'update(None>migrating) [api.api]',
                f'live_migration.pre.start [{dest}]',
                f'live_migration.pre.end [{dest}]',
                f'live_migration._rollback.start [{source}]',
                f'live_migration.rollback.dest.start [{dest}]',
                f'live_migration.rollback.dest.end [{dest}]',
                f'update(migrating>None) [{dest}]',
                f'live_migration._rollback.end [{dest}]',
            ],
            [line for line in emitted if 'abort' not in line],
        )
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual('cancelled', self.cloud.last_migration(uuid).status)
