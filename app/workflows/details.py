"""A payment as markdown, for the operator in the Temporal UI."""

from app.domain.payment import Payment


def details(payment: Payment, awaited: str) -> str:
    """What happened so far and what is awaited."""
    amount = payment.amount
    attempt = payment.attempt
    lines = [
        f"**Order {payment.order_id}: {payment.order_state}** · payment {payment.state}",
        "",
        f"- amount {amount}",
        f"- held {amount.of(payment.authorized)}, captured {amount.of(payment.captured)}, "
        f"refunded {amount.of(payment.refunded)}",
        f"- gateway's id: {payment.transaction_id or 'none yet'}",
    ]
    if attempt is not None:
        tried = f"- attempt {attempt.number}: {attempt.state}"
        if attempt.method is not None:
            tried += f" on {attempt.method}"
        if attempt.decline is not None:
            tried += f" ({attempt.decline.code})"
        lines.append(tried)
    lines += [
        f"- {step.replace('_', ' ')}: {'undone' if step in payment.steps_undone else reference}"
        for step, reference in payment.steps_done.items()
    ]
    lines += [f"- **needs attention: {reason}**" for reason in sorted(payment.attention)]
    return "\n".join([*lines, "", f"Waiting for: {awaited}"])
