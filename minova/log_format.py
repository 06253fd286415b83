# SPDX-License-Identifier: Apache-2.0
"""The format of log lines: one line a message, of bounded length.

A message may quote a user. Line breaks in a quote would begin a line that
looks like another message, escape sequences would act on the terminal that
shows the log, and a large one would fill the disk.
"""

import copy
import logging as std_logging
import re
from typing import Any
from typing import Final

from oslo_config import cfg
from oslo_log import formatters

#: The maxima of characters of a message and of a traceback.
_MAX_MESSAGE: Final = 8192
_MAX_TRACEBACK: Final = 65536
#: C0 and C1 control characters, and the line separators of Unicode.
_CONTROL: Final = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029]')


class SafeFormatter(formatters.ContextFormatter):
    """The formatter of oslo.log, which escapes and bounds what it writes."""

    def format(self, record: std_logging.LogRecord) -> str:
        """Return the text of a record; its traceback follows in lines."""
        # Other handlers get the record as it is.
        record = copy.copy(record)
        record.msg, record.args = escape(record.getMessage()), ()
        text: str = super().format(record)
        traceback = record.exc_text or ''
        if not traceback:
            return escape(text)
        return f'{escape(text.removesuffix(traceback).rstrip())}\n{traceback}'

    def formatException(self, *args: Any, **kwargs: Any) -> str:  # noqa: N802
        """Return a traceback, whose lines all have the prefix of a line."""
        text = super().formatException(*args, **kwargs)
        lines = map(_escape_line, text.split('\n'))
        return shorten('\n'.join(lines), _MAX_TRACEBACK)


def escape(text: str) -> str:
    """Return a text as one line of bounded length."""
    return shorten(_escape_line(text), _MAX_MESSAGE)


def shorten(text: str, length: int) -> str:
    """Return the beginning and the end of a text that is too long."""
    if len(text) <= length:
        return text
    half = length // 2
    return f'{text[:half]} [{len(text) - length} more] {text[-half:]}'


def _escape_line(text: str) -> str:
    return _CONTROL.sub(lambda one: repr(one[0])[1:-1], text)


def install(conf: cfg.ConfigOpts, project: str, version: str) -> None:
    """Set the formatter of all handlers of oslo.log.

    The formatter of ``use_json`` stays: JSON escapes by itself.
    """
    for handler in std_logging.getLogger().handlers:
        if isinstance(handler.formatter, formatters.ContextFormatter):
            handler.setFormatter(
                SafeFormatter(
                    project=project,
                    version=version,
                    datefmt=conf.log_date_format,
                    config=conf,
                )
            )
