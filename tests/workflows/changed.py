"""A workflow that payments under way would not survive: something for the replay to catch."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.workflows.messages import PaymentInput
    from app.workflows.payment import PaymentWorkflow


@workflow.defn(name="PaymentWorkflow")
class CapturesFirst(PaymentWorkflow):
    """The money is taken before the stock is reserved."""

    @workflow.init
    def __init__(self, order: PaymentInput) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, order: PaymentInput) -> str:
        await self._authorized_and_confirmed()
        await self._captured()
        return await super().run(order)
