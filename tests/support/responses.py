"""Answers of the test client."""

from asgiref.sync import async_to_sync


@async_to_sync
async def streamed(answer):
    """The content of a streamed answer."""
    return b"".join([part async for part in answer.streaming_content])


def content(answer):
    """The content of an answer, whether it is streamed or not."""
    if not answer.streaming:
        return answer.content
    return streamed(answer) if answer.is_async else b"".join(answer.streaming_content)
