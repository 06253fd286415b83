# SPDX-License-Identifier: Apache-2.0
"""Set the password of the administrator in a running guest.

= ====================================== ========= ========================
# step                                   where     undone by
= ====================================== ========= ========================
1 set_admin_password                     the host  nothing to undo
= ====================================== ========= ========================

The password is a secret: no row, notification or log has it. The API sends it
to the host in one message (``deliver_password``), and the host keeps it in
memory while the step runs. A step without its secret, because the message was
lost or the compute service ended, fails: the user sends the password again.
The database keeps the password encrypted with the user's own key, if the
server has an RSA key: only the owner of that key can read it.
"""

from minova import exception
from minova.flows.base import ComputeStep
from minova.flows.base import Flow
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects.operation_params import AdminPasswordParams
from minova.objects.step_args import NoArgs
from minova.objects.step_results import PasswordSet

#: Seconds for which a step waits for its secret. A heartbeat may start the
#: step before the message with the secret arrives.
SECRET_TIMEOUT = 15.0


class SetAdminPassword(ComputeStep[NoArgs, PasswordSet]):
    """Let the guest agent set the password."""

    method = 'set_admin_password'
    fail_at_deadline = True

    def run(self, ctx: StepContext, args: NoArgs) -> PasswordSet:
        """Set it; a repetition sets the same password again."""
        uuid = ctx.instance.uuid
        password = ctx.wait_for_secret(SECRET_TIMEOUT)
        if password is None:
            raise self._secret_lost(ctx)
        user = AdminPasswordParams.narrow(ctx.params).user
        try:
            ctx.driver.set_admin_password(uuid, user, password)
        except exception.GuestFailed as error:
            raise exception.InstancePasswordSetFailed(
                instance_id=uuid, reason=str(error.kwargs.get('reason', error))
            ) from error
        return PasswordSet(encrypted_password=ctx.encrypt_for_owner(password))

    def _secret_lost(self, ctx: StepContext) -> exception.MinovaException:
        if not ctx.is_resumed:
            return exception.PasswordNotDelivered(
                instance_id=ctx.instance.uuid, host=ctx.host
            )
        return exception.InstancePasswordSetFailed(
            instance_id=ctx.instance.uuid,
            reason=f'the compute service of {ctx.host} ended meanwhile. The '
            'guest may have the old or the new password: set it again',
        )

    def on_success(self, uow: UnitOfWork, result: PasswordSet) -> None:
        """Keep the encrypted password, and release the instance.

        An older one would be wrong now.
        """
        uow.update_instance(encrypted_password=result.encrypted_password)
        uow.finish()


class AdminPassword(Flow):
    """Set the password of the administrator."""

    params_class = AdminPasswordParams
    steps = (SetAdminPassword,)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        uow.enqueue(SetAdminPassword, NoArgs(), host=uow.instance.host)
