# SPDX-License-Identifier: Apache-2.0
"""The base of the audit tests: a cloud and the audit command."""

import argparse
import contextlib
import io
import json

import sqlalchemy as sa

from minova import images
from minova.audit import confirmed_scan
from minova.audit import repair
from minova.cmd import manage_audit
from minova.cmd.commands import Commands
from minova.db import tables
from tests import base
from tests.fixtures.cloud import Cloud

INFO = 'information'
UNKNOWN_ID = '8f8bb350-31b5-40a7-abf8-5df69d5b1b12'


class AuditTestCase(base.TestCase):
    """Two hosts and the audit command."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud())
        self.config(transport_url=self.cloud.url)
        self.patch(images, 'load', lambda: self.cloud.images)
        self.patch(confirmed_scan, 'RESCAN_DELAY', 0.1)
        self.patch(repair, 'TIMEOUT', 5.0)
        self.store = self.cloud.world.store

    # -- the command ---------------------------------------------------------

    def run_audit(self, *words):
        """Run the command; return its exit code and what it prints."""
        parser = argparse.ArgumentParser()
        manage_audit.add_commands(Commands(parser))
        url = self.cloud.database.engine.url.render_as_string(False)
        self.config(group='database', connection=url)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = manage_audit.run(parser.parse_args(['audit', *words]))
        return code, out.getvalue()

    def found(self, *words):
        """Run the command; return the rules with findings."""
        code, out = self.run_audit('--json', *words)
        emitted = json.loads(out)
        faults = [f for f in emitted['findings'] if f['severity'] != INFO]
        self.assertEqual(1 if emitted['unrepaired'] else 0, code)
        return [(f['rule'], f['repaired']) for f in faults]

    def assert_clean(self):
        self.assertEqual([], self.found())

    def assert_repaired(self, *rules):
        """These rules have findings until --repair is given."""
        self.assertEqual([(rule, False) for rule in rules], self.found())
        self.assertEqual(
            [(rule, True) for rule in rules], self.found('--repair')
        )
        self.assert_clean()

    def assert_left(self, *rules):
        """These rules have findings that --repair does not repair."""
        for words in ([], ['--repair']):
            self.assertEqual(
                [(rule, False) for rule in rules], self.found(*words)
            )

    # -- faults --------------------------------------------------------------

    def write(self, table, where, **values):
        """Change rows directly; return their number."""
        return self.cloud.database.write(
            lambda c: (
                c.execute(
                    sa.update(table).where(where).values(**values)
                ).rowcount
            )
        )

    def change(self, uuid, **values):
        """Change the row of an instance directly."""
        where = tables.instances.c.uuid == uuid
        self.assertEqual(1, self.write(tables.instances, where, **values))

    def copy(self, kind, uuid, to='b', host='a', as_=None, **changes):
        """Copy a record of a host to another host."""
        record = self.store.get(f'{host}/{kind}/{uuid}')
        self.store.put(f'{to}/{kind}/{as_ or uuid}', record | changes)

    def set_migration(self, *kinds, uuid, to='b', host='a'):
        for kind in kinds:
            self.copy(kind, uuid, to, host)
            self.store.delete(f'{host}/{kind}/{uuid}')

    def holds(self, host, uuid):
        """Return the kinds of records that a host has of an instance."""
        return [
            kind
            for kind in ('guests', 'disks', 'retained', 'incoming')
            if self.store.get(f'{host}/{kind}/{uuid}') is not None
        ]

    def stop_compute(self, host):
        self.cloud.stop(self.cloud.computes[host])
