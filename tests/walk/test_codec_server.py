"""The Temporal UI of the running stack shows payloads to operators, and to nobody else."""

import json
from typing import Any

import httpx

from app.domain.api_keys import DEVELOPMENT_API_KEY
from tests.walk.running import Running


def _payloads(told: Any) -> list[dict[str, Any]]:
    """Every payload in what Temporal's HTTP interface told."""
    if isinstance(told, list):
        return [each for part in told for each in _payloads(part)]
    if not isinstance(told, dict):
        return []
    if "metadata" in told and "data" in told:
        return [told]
    return [each for part in told.values() for each in _payloads(part)]


async def test_what_the_temporal_ui_gets_is_read_by_operators_only(running: Running) -> None:
    order_id = await running.paid("codec")
    ui = running.stack.temporal.ui_url
    async with httpx.AsyncClient(trust_env=False) as browser:
        told = (await browser.get(f"{ui}/api/v1/settings")).json()["Codec"]
        assert told["Endpoint"] == running.stack.codec_url
        workflow = f"{ui}/api/v1/namespaces/default/workflows/payment-{order_id}"
        history = (await browser.get(f"{workflow}/history")).json()
        payloads = _payloads(history)
        assert payloads
        assert order_id not in json.dumps(payloads)

        async def decoded() -> httpx.Response:
            headers = {"Origin": ui, "X-Namespace": "default"}
            asked = {"payloads": payloads}
            return await browser.post(f"{told['Endpoint']}/decode", json=asked, headers=headers)

        assert (await decoded()).status_code == 401
        await browser.post(f"{told['Endpoint']}/login", data={"key": DEVELOPMENT_API_KEY})
        answer = await decoded()
    assert answer.status_code == 200, answer.text
    clear = [each["metadata"]["encoding"] for each in answer.json()["payloads"]]
    assert set(clear) <= {"anNvbi9wbGFpbg==", "YmluYXJ5L251bGw="}  # json/plain, binary/null
