# SPDX-License-Identifier: Apache-2.0
"""The snippet with which the documentation lets consumers find gaps."""

import pathlib
import runpy

from minova.engine import outbox_rows
from tests import base

INSTANCE = '8f8bb350-31b5-40a7-abf8-5df69d5b1b12'


def documented():
    """Return what the snippet defines."""
    root = pathlib.Path(base.minova.__file__).parent.parent
    return runpy.run_path(root / 'doc/source/notifications/detect_gaps.py')


class DetectGapsTest(base.TestCase):
    """A consumer knows what should have come."""

    def published(self, number):
        return {
            'message_id': outbox_rows.message_id(INSTANCE, number),
            'payload': {'instance_id': INSTANCE},
        }

    def ids(self, *numbers):
        return {outbox_rows.message_id(INSTANCE, number) for number in numbers}

    def test_the_id_is_what_the_product_gives(self):
        for number in (1, 9, 10, 12345):
            self.assertEqual(
                outbox_rows.message_id(INSTANCE, number),
                documented()['message_id'](INSTANCE, number),
            )

    def test_a_gap_and_what_fills_it(self):
        gaps = documented()['Gaps']()
        for number in (1, 2, 2):
            self.assertEqual(set(), gaps.add(self.published(number)))
        self.assertEqual(self.ids(3, 4), gaps.add(self.published(5)))
        self.assertEqual(self.ids(3, 4), gaps.missing)
        self.assertEqual(set(), gaps.add(self.published(3)))
        self.assertEqual(self.ids(4), gaps.missing)
        self.assertEqual(set(), gaps.add(self.published(6)))
