# SPDX-License-Identifier: Apache-2.0
"""Snapshot and backup: the root disk of a guest becomes an image.

================ ====================== ============ ==========================
operation        step                   where        undone by
================ ====================== ============ ==========================
snapshot         snapshot_instance      the host     undo_snapshot_instance,
backup           backup_instance                     then discard_image
discard_snapshot undo_snapshot_instance the host of  of a snapshot that was
                 discard_image          the snapshot preempted
================ ====================== ============ ==========================

The host copies the disk as it is at one moment, while the guest runs on, and
then uploads the copy. Two checkpoints divide the step: after the first the
copy is complete and is never made again, after the second it is on its way. An
upload that was interrupted begins again; an image service that does not reply
is asked again until the deadline.

The API has drawn the id of the image, so the image is known before it exists.
An operation that ends early leaves neither a copy nor an image: the undo
removes both after a failure, and the operation ``discard_snapshot`` after a
preemption; it begins in the transaction that preempts. Neither keeps the
server: ``discard_image`` is detached, and other steps of the host do not wait
for it.

Another flow that turns a disk into an image subclasses ``SnapshotStep``, calls
``store`` in its ``run``, and has ``UndoSnapshotInstance`` as its undo and
``DiscardImage`` among its steps. Its arguments are ``SnapshotArgs``.
"""

from typing import Any
from typing import ClassVar
from typing import Final

from minova import exception
from minova.flows.base import ComputeStep
from minova.flows.base import Error
from minova.flows.base import Flow
from minova.flows.base import FollowUp
from minova.flows.base import ResultT
from minova.flows.base import StepContext
from minova.flows.base import UnitOfWork
from minova.objects import operation as records
from minova.objects.checkpoints import Checkpoint
from minova.objects.checkpoints import SnapshotTaken
from minova.objects.checkpoints import UploadStarted
from minova.objects.operation_params import BackupParams
from minova.objects.operation_params import DiscardSnapshotParams
from minova.objects.operation_params import SnapshotParams
from minova.objects.snapshot_image import SnapshotImage
from minova.objects.step_args import SnapshotArgs
from minova.objects.step_results import NoResult

_SPAN: Final = 'snapshot'
#: The errors that pass: the host asks again until the deadline.
_PASSING: Final = (exception.Unavailable, exception.HypervisorUnavailable)


class DiscardImage(ComputeStep[SnapshotArgs, NoResult]):
    """Delete the image of a snapshot that has failed."""

    method = 'discard_image'
    retry_until_done = True
    deferrable = True
    concurrent = True

    def run(self, ctx: StepContext, args: SnapshotArgs) -> NoResult:
        """Delete it, also if its creation is still on the way."""
        if args.image_id is not None:
            ctx.images.discard(args.image_id)
        return NoResult()


class UndoSnapshotInstance(ComputeStep[SnapshotArgs, NoResult]):
    """Stop the copy and remove it; thaw the guest."""

    method = 'undo_snapshot_instance'
    retry_until_done = True
    deferrable = True

    def run(self, ctx: StepContext, args: SnapshotArgs) -> NoResult:
        """Remove the copy."""
        ctx.driver.remove_snapshot(ctx.instance.uuid, args.image_id)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Enqueue the deletion of the image."""
        args = SnapshotArgs.narrow(uow.step.args)
        if args.image_id is not None:
            uow.enqueue(DiscardImage, args, host=uow.step.host, detached=True)


class SnapshotStep(ComputeStep[SnapshotArgs, ResultT]):
    """A step that copies the root disk and uploads the copy."""

    undo: type[ComputeStep[SnapshotArgs, Any]] | None = UndoSnapshotInstance
    #: The task states after the copy, and during the upload.
    pending_task_state: ClassVar[str] = 'image_pending_upload'
    uploading_task_state: ClassVar[str] = 'image_uploading'

    def store(
        self, ctx: StepContext, image: SnapshotImage, quiesce: bool = False
    ) -> None:
        """Copy the disk, upload the copy, and remove it from the host.

        With ``quiesce`` the guest agent of a running guest freezes the file
        systems for the copy.
        """
        uuid = ctx.instance.uuid
        if ctx.find_checkpoint(SnapshotTaken) is None:
            for progress in ctx.driver.take_snapshot(uuid, image.id, quiesce):
                ctx.check_cancelled()
                ctx.report_copy(progress)
            ctx.save_checkpoint(SnapshotTaken())
        ctx.images.reserve(image)
        if ctx.find_checkpoint(UploadStarted) is None:
            ctx.save_checkpoint(UploadStarted())
        copied = ctx.driver.find_snapshot(uuid, image.id)
        if copied is None:
            # An earlier attempt has removed it after the upload.
            ctx.images.require_active(image.id)
        else:
            ctx.images.upload(
                image.id,
                copied,
                lambda sent: ctx.report_upload(sent, copied.size),
            )
        ctx.driver.remove_snapshot(uuid, image.id)

    def on_checkpoint(self, uow: UnitOfWork, checkpoint: Checkpoint) -> None:
        """Show in the task state how far the snapshot is."""
        if isinstance(checkpoint, SnapshotTaken):
            uow.set_task_state(self.pending_task_state)
        elif isinstance(checkpoint, UploadStarted):
            uow.set_task_state(self.uploading_task_state)

    def is_retryable(self, error: Error) -> bool:
        """Ask a service that does not reply again."""
        return isinstance(error, _PASSING)

    def on_undo(self, uow: UnitOfWork, step: records.Step) -> None:
        """Show no progress any more."""
        uow.update_instance(progress=None)


class SnapshotInstance(SnapshotStep[NoResult]):
    """Turn the root disk into an image."""

    method = 'snapshot_instance'

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.set_task_state('image_snapshot')
        uow.emit_start(_SPAN)

    def run(self, ctx: StepContext, args: SnapshotArgs) -> NoResult:
        """Store the image."""
        params = SnapshotParams.narrow(ctx.params)
        self.store(ctx, params.image, params.quiesce)
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the instance in the state that it had."""
        _end(uow)


class BackupInstance(SnapshotStep[NoResult]):
    """Turn the root disk into an image; delete the oldest backups."""

    method = 'backup_instance'

    def on_start(self, uow: UnitOfWork) -> None:
        """Emit the start."""
        uow.emit_start(_SPAN)

    def run(self, ctx: StepContext, args: SnapshotArgs) -> NoResult:
        """Store the image, if there is one, then rotate."""
        params = BackupParams.narrow(ctx.params)
        if params.image is not None:
            self.store(ctx, params.image, params.quiesce)
        ctx.images.rotate(
            params.project_id,
            ctx.instance.uuid,
            params.backup_type,
            params.rotation,
        )
        return NoResult()

    def on_success(self, uow: UnitOfWork, result: NoResult) -> None:
        """Release the instance in the state that it had."""
        _end(uow)


def _end(uow: UnitOfWork) -> None:
    uow.update_instance(progress=None)
    uow.finish()
    uow.emit_end(_SPAN)


class Snapshot(Flow):
    """Turn the root disk of a guest into an image."""

    params_class = SnapshotParams
    steps = (SnapshotInstance, UndoSnapshotInstance, DiscardImage)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        image = SnapshotParams.narrow(uow.operation.params).image
        uow.enqueue(
            SnapshotInstance,
            SnapshotArgs(image_id=image.id),
            host=uow.instance.host,
        )

    def after_preemption(
        self, operation: records.Operation, host: str | None
    ) -> FollowUp | None:
        """Return the removal of the copy and of the image."""
        return discard_after(
            host, SnapshotParams.narrow(operation.params).image
        )


class Backup(Flow):
    """Turn the root disk into an image; keep some images of its kind."""

    params_class = BackupParams
    steps = (BackupInstance, UndoSnapshotInstance, DiscardImage)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the step on the instance's host."""
        image = BackupParams.narrow(uow.operation.params).image
        uow.enqueue(
            BackupInstance,
            SnapshotArgs(image_id=None if image is None else image.id),
            host=uow.instance.host,
        )

    def after_preemption(
        self, operation: records.Operation, host: str | None
    ) -> FollowUp | None:
        """Return the removal of the copy and of the image."""
        return discard_after(host, BackupParams.narrow(operation.params).image)


class DiscardSnapshot(Flow):
    """Remove what a snapshot without owner has left."""

    params_class = DiscardSnapshotParams
    steps = (UndoSnapshotInstance, DiscardImage)

    def on_begin(self, uow: UnitOfWork) -> None:
        """Enqueue the removal of the copy, then of the image."""
        params = DiscardSnapshotParams.narrow(uow.operation.params)
        uow.enqueue(
            UndoSnapshotInstance,
            SnapshotArgs(image_id=params.image_id),
            host=params.host,
            detached=True,
        )
        uow.finish()


def discard_after(
    host: str | None, image: SnapshotImage | None
) -> FollowUp | None:
    """Return the operation that cleans up after a preempted snapshot."""
    if host is None or image is None:
        return None
    return FollowUp(
        'discard_snapshot', DiscardSnapshotParams(host=host, image_id=image.id)
    )
