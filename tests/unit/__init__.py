# SPDX-License-Identifier: Apache-2.0
"""Tests of parts. On a machine that is busy they are slow, and still right."""

import hypothesis

hypothesis.settings.register_profile(
    'minova',
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile('minova')
