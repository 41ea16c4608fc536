"""A whole payment, walked through running processes."""

from app.temporal.names import ORDER_ID
from tests.walk.running import INITIATE, Running, by_token, new_order, request

THE_ISSUES_BODY = (
    b'{"order_id": "order-12345", "payment_method": "credit_card", "amount": 49.99, '
    b'"credit_card": {"number": "4111 1111 1111 1111", "expiry_month": "12", '
    b'"expiry_year": "30", "cvv": "123"}}'
)


async def test_an_order_is_paid_shipped_and_receipted(running: Running) -> None:
    order_id = new_order("walk")
    article = {"sku": "sample-mug", "quantity": "2"}
    [(on_the_shelf,)] = await running.query("SELECT available FROM stock WHERE sku = 'sample-mug'")

    answer = await running.initiate(
        request(order_id, metadata=article, customer_email="shopper@example.com")
    )

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["status"] in ("authorized", "captured")
    assert (told["amount"], told["currency"]) == ("49.99", "usd")
    assert told["transaction_id"].startswith("pi_")

    order = await running.until(order_id)

    assert order["payment_id"] == told["payment_id"]
    assert (order["status"], order["captured"], order["refunded"]) == ("captured", "49.99", "0.00")
    assert order["fees"] == [{"amount": "1.75", "currency": "usd"}]
    assert order["needs_attention"] == []
    events = [row["event"] for row in order["timeline"]]
    assert events == [
        "initiated",
        "attempted",
        "authorized",
        "confirmed",
        "step_done",
        "captured",
        "fee_charged",
        "step_done",
        "step_done",
        "fulfilled",
    ]
    times = [row["at"] for row in order["timeline"]]
    assert times == sorted(times)
    await running.charged_once(order_id, 4999)

    left = [(on_the_shelf - 2,)]
    assert await running.query("SELECT available FROM stock WHERE sku = 'sample-mug'") == left
    shipped = "SELECT count(*) FROM shipments WHERE order_id = %s AND canceled_at IS NULL"
    assert await running.query(shipped, order_id) == [(1,)]
    [receipt] = running.mails(order_id)
    assert "49.99 USD" in receipt
    assert "To: shopper@example.com" in receipt

    workflow = (await running.temporal()).get_workflow_handle(f"payment-{order_id}")
    assert await workflow.result() == "captured"
    assert (await workflow.describe()).typed_search_attributes[ORDER_ID] == order_id


async def test_the_issues_own_request_pays_its_order(running: Running) -> None:
    answer = await running.shop.post(
        INITIATE, content=THE_ISSUES_BODY, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["order_id"] == "order-12345"
    assert told["payment_method"] == {"type": "credit_card", "brand": "visa", "last4": "1111"}
    assert told["next_action"] is None
    assert told["links"]["self"] == "/api/payment/order-12345"
    assert (await running.shop.get(told["links"]["self"])).json()["order_id"] == "order-12345"
    await running.until("order-12345")
    await running.charged_once("order-12345", 4999)


async def test_an_order_that_cannot_be_supplied_costs_nothing(running: Running) -> None:
    order_id = new_order("sold-out")
    answer = await running.initiate(by_token(order_id, metadata={"sku": "never-had-any"}))
    assert answer.status_code == 200, answer.text
    order = await running.until(order_id, order_status="canceled")
    assert (order["status"], order["captured"]) == ("voided", "0.00")
    await running.never_charged(order_id)
    again = await running.initiate(by_token(order_id))
    assert again.status_code == 409, again.text
    assert again.json()["type"] == "/problems/order-closed"
