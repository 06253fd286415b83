# SPDX-License-Identifier: Apache-2.0
"""The question whether the body of a request may be read, from its headers.

The HTTP server asks the application before it waits for a body: it calls the
application with ``ASK`` in the environment. The application authenticates the
caller, sets ``admission`` there and does nothing else. An application that
does not set it refuses the request; the server then calls it again, without a
body, for the response.
"""

import enum
from typing import Any
from typing import Final

#: The key of a question, and that of its answer.
ASK: Final = 'minova.ask_admission'
_ANSWER: Final = 'minova.admission'


class Admission(enum.Enum):
    """What the headers say about the caller."""

    REFUSED = 'refused'
    #: The endpoint needs no authentication.
    PUBLIC = 'public'
    AUTHENTICATED = 'authenticated'


def answer(environ: dict[str, Any], admission: Admission) -> bool:
    """Set the answer; return whether the environment is a question."""
    if ASK not in environ:
        return False
    environ[_ANSWER] = admission
    return True


def read_answer(environ: dict[str, Any]) -> Admission:
    """Return the answer of an application."""
    found = environ.get(_ANSWER, Admission.REFUSED)
    assert isinstance(found, Admission)
    return found
