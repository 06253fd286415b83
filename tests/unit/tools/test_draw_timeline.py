# SPDX-License-Identifier: Apache-2.0
"""The picture of the README is what the command draws of the recording."""

import pathlib
import runpy
import xml.etree.ElementTree

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parent.parent
RECORDED = ROOT / 'doc' / 'source' / 'recorded'


class DrawTimelineTest(base.TestCase):
    """tools/draw_timeline.py over the recorded timelines."""

    def setUp(self):
        super().setUp()
        self.tool = runpy.run_path(ROOT / 'tools' / 'draw_timeline.py')

    def test_committed_picture_is_current(self):
        text = (RECORDED / 'live_migrate.timeline').read_text()
        picture = ROOT / 'doc' / 'source' / '_static' / 'timeline.svg'
        self.assertEqual(self.tool['draw'](text), picture.read_text())

    def test_each_line_is_drawn(self):
        for path in sorted(RECORDED.glob('*.timeline')):
            text = path.read_text()
            parsed = self.tool['parse'](text)
            lines = [line for line in text.splitlines() if ' ms  ' in line]
            self.assertEqual(
                len(lines), sum(len(o.entries) for o in parsed), path.name
            )
            root = xml.etree.ElementTree.fromstring(self.tool['draw'](text))
            drawn = {element.text for element in root.iter()}
            for operation in parsed:
                for entry in operation.entries:
                    if entry.sign != '<':
                        self.assertIn(entry.what, drawn)

    def test_another_text_is_refused(self):
        error = self.assertRaises(ValueError, self.tool['parse'], 'Hello\n')
        self.assertIn('minova-manage timeline', str(error))
