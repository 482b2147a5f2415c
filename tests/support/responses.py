"""Answers of the test client."""

from asgiref.sync import async_to_sync


@async_to_sync
async def streamed(answer):
    """The content of a streamed answer."""
    return b"".join([part async for part in answer.streaming_content])
