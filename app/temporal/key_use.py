"""Which encryption keys Temporal still needs."""

from collections.abc import AsyncIterator, Iterator

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.temporal.codec import ENCODING, KEY_ID


async def key_ids(client: Client, task_queue: str) -> AsyncIterator[set[str]]:
    """The ids of the keys that each workflow of ours was encrypted with: of those that run, and of
    those that are over and still kept."""
    async for run in client.list_workflows(f'TaskQueue = "{task_queue}"'):
        history = client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            yield {
                payload.metadata[KEY_ID].decode(errors="replace")
                async for event in history.fetch_history_events()
                for payload in _encrypted(event)
            }
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # its time was up just now
                raise


def _encrypted(told: Message) -> Iterator[Payload]:
    """Every encrypted payload in a message of Temporal's."""
    if isinstance(told, Payload):
        if told.metadata.get("encoding") == ENCODING:
            yield told
        return
    for field, value in told.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = value.values()
        else:
            values = value if field.is_repeated else [value]
        for each in values:
            if isinstance(each, Message):
                yield from _encrypted(each)
