# SPDX-License-Identifier: Apache-2.0
"""An audit period of the usage of instances."""

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class AuditPeriod:
    """A period, from ``beginning`` (inclusive) to ``ending`` (exclusive)."""

    beginning: datetime.datetime
    ending: datetime.datetime

    def __str__(self) -> str:
        return (
            f'{self.beginning:%Y-%m-%d %H:%M} to {self.ending:%Y-%m-%d %H:%M}'
        )
