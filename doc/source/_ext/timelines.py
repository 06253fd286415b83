# SPDX-License-Identifier: Apache-2.0
"""The diagrams of the operation sequences, drawn from the recorded timelines.

Writes ``_generated/chains/NAME.svg`` for each ``recorded/NAME.timeline``,
before the pages are read.
"""

import pathlib
import sys


def write(app):
    """Draw each recorded timeline."""
    source = pathlib.Path(app.srcdir)
    sys.path.insert(0, str(source.parent.parent / 'tools'))
    import draw_timeline

    folder = source / '_generated' / 'chains'
    folder.mkdir(parents=True, exist_ok=True)
    for recorded in sorted((source / 'recorded').glob('*.timeline')):
        text = recorded.read_text()
        path = folder / f'{recorded.stem}.svg'
        picture = draw_timeline.draw(text)
        if not path.exists() or path.read_text() != picture:
            path.write_text(picture)


def setup(app):
    """Connect to the start of a build."""
    app.connect('builder-inited', write)
    return {'parallel_read_safe': True}
