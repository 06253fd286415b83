# SPDX-License-Identifier: Apache-2.0
"""A directory, a clock, and the application over HTTP."""

import datetime
import functools
import os
import tempfile

import falcon
import falcon.testing
import fixtures
from oslo_config import fixture as config_fixture
import testtools

from minova import clock
from minova import conf
from minova import context
from minova import exception
from minova import policy


class SetClock(clock.Clock):
    """A clock that sleeps and tests advance."""

    def __init__(self):
        self.ahead = datetime.timedelta()
        self.slept = []

    def now(self):
        return super().now() + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead.total_seconds()

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.ahead += datetime.timedelta(seconds=seconds)

    def forward(self, **units):
        self.ahead += datetime.timedelta(**units)


class TestCase(testtools.TestCase):
    """Gives each test an empty directory, its own options and its clock."""

    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = scratch.name
        self.log = self.useFixture(fixtures.FakeLogger())
        self.clock = SetClock()
        self.addCleanup(clock.install, clock.install(self.clock))
        self.config = self.useFixture(config_fixture.Config(conf.CONF))
        # Ignore the configuration files of this machine.
        self.config.conf([], default_config_files=[])

    def file(self, *names):
        return os.path.join(self.path, *names)

    def mode(self, *names):
        return oct(os.stat(self.file(*names)).st_mode & 0o777)


def set_caller(req, caller, policy):
    """Set the caller of a request as the application does."""
    req.context.caller = caller
    if caller is None:
        return
    known = context.Context(
        user_id=caller.user_id,
        project_id=caller.project_id,
        roles=list(caller.roles),
        is_admin=caller.is_admin,
    )
    req.context.authorize = functools.partial(policy.authorize, known)
    req.context.is_allowed = functools.partial(policy.is_allowed, known)


class _Auth:
    def __init__(self, who):
        self.who = who
        self.policy = policy.Policy(conf.CONF)

    def process_request(self, req, resp):
        set_caller(req, self.who(req), self.policy)


def client(routes, error_body, who):
    """Return a client of the application."""

    def refuse(req, resp, error, params):
        resp.status = falcon.code_to_http_status(error.status)
        resp.media = error_body(error.status, str(error))

    def reraise(req, resp, error, params):
        raise error

    app = falcon.App(middleware=[_Auth(who)])
    app.add_error_handler(Exception, reraise)
    app.add_error_handler(exception.MinovaException, refuse)
    for template, resource in routes:
        app.add_route(template, resource)
    return falcon.testing.TestClient(app)
