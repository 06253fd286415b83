# SPDX-License-Identifier: Apache-2.0
"""Retries on another host: the hosts that failed, each with its reason."""

from minova import exception
from minova.exception import serialization
from minova.flows.base import AnyComputeStep
from minova.flows.base import UnitOfWork
from minova.objects import operation as records
from minova.objects.step_args import SelectHostArgs


def list_attempts(
    uow: UnitOfWork, step: type[AnyComputeStep]
) -> list[records.Step]:
    """Return the steps of a class in the operation, the newest last."""
    return [one for one in uow.steps() if one.method == step.method]


def select_after(
    uow: UnitOfWork,
    attempt: records.Step,
    error: exception.MinovaException,
) -> SelectHostArgs:
    """Return the arguments of a selection without the hosts that failed.

    ``attempt`` is the step of the newest host, ``error`` the error of the
    operation: the reason when the host never reported one.
    """
    known = [
        step.args.excluded_hosts
        for step in uow.steps()
        if isinstance(step.args, SelectHostArgs)
    ]
    if attempt.error is not None:
        error = serialization.decode(attempt.error)
    # Without the uuid of the instance, which the reader knows.
    reason = error.message or error.kwargs.get('reason') or error
    return SelectHostArgs(
        excluded_hosts={
            **known[-1],
            str(attempt.host): f'it was tried: {reason}',
        }
    )
