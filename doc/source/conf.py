# SPDX-License-Identifier: Apache-2.0
"""How the documentation is built; see tox -e docs."""

import os
import sys

sys.path.insert(0, os.path.abspath('_ext'))

project = 'Minova'
author = 'The Minova developers'
copyright = '2026, the Minova developers'  # noqa: A001
extensions = ['sphinx.ext.graphviz', 'generated', 'timelines']
exclude_patterns = ['_generated']
html_static_path = ['_static']
html_theme = 'alabaster'
html_theme_options = {
    'description': 'A compute control plane that never loses an action',
    'fixed_sidebar': True,
    'page_width': '1200px',
}
graphviz_output_format = 'svg'
nitpicky = True
smartquotes = False
