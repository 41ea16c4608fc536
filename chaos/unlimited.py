"""Settings under which nobody is taken for a tester of cards: the harnesses pay from one address,
by one key, with the same few cards, and decline as often as they like."""

_NEVER = "1000000/day"

UNLIMITED = {
    "DECLINES_PER_KEY": _NEVER,
    "DECLINES_PER_ADDRESS": _NEVER,
    "DECLINES_PER_ORDER": _NEVER,
    "DECLINES_PER_CARD": _NEVER,
}
