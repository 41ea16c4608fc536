"""What can be done to a callback that was signed rightly.

Not all of it changes it: what leaves the signed bytes and a right signature in place, such as white
space around a header's value, is no mutation, and is told by `Form.is_signed`.
"""

import random
from base64 import b64encode
from collections.abc import Callable

from tests.doors.forms import Callback, Form, Signing

_TOLERANCE = 300
_SLACK = 30  # the clock goes on while a request is on its way

_Random = random.Random
_Bytes = Callable[[_Random, bytes], bytes]
Mutation = Callable[[_Random, Form, Callback], Callback]


# --- What can be done to bytes --------------------------------------------------------------------


def _bits_flipped(draw: _Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(draw: _Random, text: bytes) -> bytes:
    return text[: draw.randrange(len(text))]


def _beginning_lost(draw: _Random, text: bytes) -> bytes:
    return text[draw.randrange(1, len(text)) :]


def _longer(draw: _Random, text: bytes) -> bytes:
    more = draw.choice((b" ", b"\x00", b"=", b",", b"\n", b"}", text, draw.randbytes(8)))
    return text + more if draw.random() < 0.5 else more + text


def _one_more(draw: _Random, text: bytes) -> bytes:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.randbytes(1) + text[at:]


def _one_less(draw: _Random, text: bytes) -> bytes:
    at = draw.randrange(len(text))
    return text[:at] + text[at + 1 :]


def _two_swapped(draw: _Random, text: bytes) -> bytes:
    changed = bytearray(text)
    one, other = draw.randrange(len(text)), draw.randrange(len(text))
    changed[one], changed[other] = changed[other], changed[one]
    return bytes(changed)


def _part_repeated(draw: _Random, text: bytes) -> bytes:
    start = draw.randrange(len(text))
    end = draw.randrange(start, len(text)) + 1
    return text[:end] + text[start:end] + text[end:]


def _foreign_letters(draw: _Random, text: bytes) -> bytes:
    letters = (
        "é",
        "ключ",
        "\u0661\u0662",
        "\uff11",
        "\u200b",
        "\U0001f4b3",
        "\ufeff",
        "\x00",
        "a\u0301",
    )
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(letters).encode(draw.choice(("utf-8", "utf-16"))) + text[at:]


def _a_huge_number(draw: _Random, text: bytes) -> bytes:
    at = draw.randrange(len(text) + 1)
    return text[:at] + b"9" * draw.choice((20, 400, 5000)) + text[at:]


def _empty(_: _Random, __: bytes) -> bytes:
    return b""


def _capitals_swapped(_: _Random, text: bytes) -> bytes:
    return text.swapcase()


def _reversed(_: _Random, text: bytes) -> bytes:
    return text[::-1]


def _nested(draw: _Random, text: bytes) -> bytes:
    depth = draw.choice((1, 10, 1000, 20_000))
    return b"[" * depth + text + b"]" * depth


def _white_space_added(draw: _Random, text: bytes) -> bytes:
    return text.replace(b": ", draw.choice((b":", b" : ", b":\t")), draw.choice((1, -1)))


def _a_name_twice(draw: _Random, text: bytes) -> bytes:
    name = draw.choice((b"id", b"order_id", b"type", b"status", b"livemode"))
    first = b'{"%s": "other", ' % name
    return text.replace(b"{", first, 1) if draw.random() < 0.5 else text[:-1] + b', "id": "o"}'


def _another_value(draw: _Random, text: bytes) -> bytes:
    changes = (
        (b"canceled", b"succeeded"),
        (b'"amount": 4999', b'"amount": 1'),
        (b'"amount_received": 0', b'"amount_received": 4999'),
        (b"success", b"failed"),
        (b"usd", b"jpy"),
        (b"order_id", b"order-id"),
        (b"false", b"true"),
        (b"txn-1", b"txn-2"),
    )
    known = [(old, new) for old, new in changes if old in text]
    old, new = draw.choice(known)
    return text.replace(old, new)


_OF_ANY_BYTES: tuple[_Bytes, ...] = (
    _bits_flipped,
    _cut,
    _beginning_lost,
    _longer,
    _one_more,
    _one_less,
    _two_swapped,
    _part_repeated,
    _foreign_letters,
    _a_huge_number,
    _empty,
    _capitals_swapped,
    _reversed,
)
_OF_A_BODY: tuple[_Bytes, ...] = (_nested, _white_space_added, _a_name_twice, _another_value)


# --- What can be done to a callback ---------------------------------------------------------------


def _body(change: _Bytes) -> Mutation:
    def mutation(draw: _Random, _: Form, good: Callback) -> Callback:
        return Callback(good.headers, change(draw, good.body))

    return mutation


def _header(change: _Bytes) -> Mutation:
    def mutation(draw: _Random, _: Form, good: Callback) -> Callback:
        at = draw.randrange(len(good.headers))
        name, value = good.headers[at]
        return _with_header(good, at, (name, change(draw, value)))

    return mutation


def _a_header_less(draw: _Random, _: Form, good: Callback) -> Callback:
    return _with_header(good, draw.randrange(len(good.headers)))


def _a_header_twice(draw: _Random, form: Form, good: Callback) -> Callback:
    at = draw.randrange(len(good.headers))
    name, value = good.headers[at]
    wrong = _bits_flipped(draw, value)
    another = form.callback(good.body, Signing(secret=b"another")).headers[at][1]
    second = draw.choice((value, wrong, another, b""))
    return _with_header(
        good, at, *draw.choice((((name, value), (name, second)), ((name, second), (name, value))))
    )


def _a_header_of_another(draw: _Random, form: Form, good: Callback) -> Callback:
    other = form.callback(form.body()).headers
    at = draw.randrange(len(other))
    return _with_header(good, at, other[at])


def _a_body_of_another(_: _Random, form: Form, good: Callback) -> Callback:
    changed = form.body().replace(b"txn-1", b"txn-2")
    return Callback(good.headers, changed)


def _both_forms_at_once(draw: _Random, _: Form, good: Callback) -> Callback:
    names = [b"stripe-signature", b"webhook-id", b"webhook-timestamp", b"webhook-signature"]
    others = [name for name in names if not good.of(name)]
    more = [(name, draw.randbytes(6).hex().encode()) for name in others]
    return Callback((*good.headers, *more), good.body)


def _the_other_forms_name(_: _Random, __: Form, good: Callback) -> Callback:
    names = {b"stripe-signature": b"webhook-signature", b"webhook-signature": b"stripe-signature"}
    return Callback(tuple((names.get(n, n), v) for n, v in good.headers), good.body)


def _time_moved(draw: _Random, form: Form, good: Callback) -> Callback:
    """Signed for another second, or the time written in another way."""
    at = next(i for i, (_, v) in enumerate(good.headers) if _time_in(v))
    name, value = good.headers[at]
    old = _time_in(value)
    seconds = int(old)
    new = draw.choice(
        (
            b"%d" % (seconds + draw.choice((-1, 1)) * draw.choice((1, 60, 299, 301, 10**6))),
            b"0" + old,
            b"+" + old,
            b"-" + old,
            old + b".0",
            old + b"e0",
            old[:1] + b"_" + old[1:],
            b"0x%x" % seconds,
            b"%d000" % seconds,
            "".join(chr(0x660 + int(d)) for d in old.decode()).encode(),
            b"9" * draw.choice((13, 400, 5000)),
            draw.choice((b"nan", b"inf", b"-inf", b"1e400", b"null", b"true", b"now")),
        )
    )
    return _with_header(good, at, (name, value.replace(old, new, 1)))


def _not_just_now(draw: _Random, form: Form, good: Callback) -> Callback:
    """Rightly signed, but long ago or in the future."""
    age = _TOLERANCE + _SLACK + draw.choice((0, 1, 60, 3600, 10**6, 10**9))
    return form.callback(good.body, Signing(age=draw.choice((age, -age))))


def _another_secret(draw: _Random, form: Form, good: Callback) -> Callback:
    others = (
        b"",
        b" ",
        b"whsec_",
        b"null",
        b"secret",
        draw.randbytes(32),
        b"whsec_of_somebody_else",
    )
    return form.callback(good.body, Signing(secret=draw.choice(others)))


def _another_scheme(draw: _Random, form: Form, good: Callback) -> Callback:
    schemes = (
        b"v0",
        b"v2",
        b"V1",
        b"v1a",
        b"v10",
        b"v",
        b"1",
        b"v1 ",
        b"",
        b"none",
        b"v\xc2\xb9",
    )
    return form.callback(good.body, Signing(scheme=draw.choice(schemes)))


def _another_hash(draw: _Random, form: Form, good: Callback) -> Callback:
    digests = ("md5", "sha1", "sha224", "sha384", "sha512", "sha3_256", "blake2s")
    return form.callback(good.body, Signing(digest=draw.choice(digests)))


def _another_writing(draw: _Random, form: Form, good: Callback) -> Callback:
    """The right signature, written as the form does not write it."""
    ways: tuple[Callable[[bytes], bytes], ...] = (
        lambda mac: mac.hex().upper().encode(),
        lambda mac: mac[::-1].hex().encode(),
        lambda mac: mac[:-1].hex().encode(),
        lambda mac: mac.hex().encode() + b"00",
        lambda mac: mac.hex(":").encode(),
        lambda mac: b"0x" + mac.hex().encode(),
        lambda mac: b64encode(mac).rstrip(b"="),
        lambda mac: b64encode(mac) + b"=",
        lambda mac: b64encode(mac).swapcase(),
        lambda mac: b64encode(mac[:16]) + b"!" + b64encode(mac[16:]),
        lambda mac: b64encode(b64encode(mac)),
        lambda mac: b'"' + b64encode(mac) + b'"',
    )
    return form.callback(good.body, Signing(encode=draw.choice(ways)))


def _other_bytes_signed(draw: _Random, form: Form, good: Callback) -> Callback:
    """A signature of something less, or of the same parts put together otherwise."""
    ways: tuple[Callable[[list[bytes]], bytes], ...] = (
        lambda parts: parts[-1],
        lambda parts: parts[0],
        lambda parts: b"".join(parts),
        lambda parts: b",".join(parts),
        lambda parts: b".".join(reversed(parts)),
        lambda parts: b".".join(parts) + b"\n",
        lambda parts: b".".join(parts).replace(b" ", b""),
        lambda parts: b".".join(part[:8] for part in parts),
        lambda _: b"",
    )
    return form.callback(good.body, Signing(signed=draw.choice(ways)))


def _of_the_other_mode(draw: _Random, form: Form, good: Callback) -> Callback:
    """Rightly signed, of Stripe's live mode; or in the other form a status that there is not."""
    value = draw.choice((b"true", b"null", b"0", b'"false"', b"[]"))
    body = good.body.replace(b'"livemode": false', b'"livemode": ' + value)
    return form.callback(body.replace(b'"success"', value))


def _signed_nonsense(draw: _Random, form: Form, _: Callback) -> Callback:
    """Rightly signed, and no callback."""
    deep = draw.choice((100, 5000, 30_000))
    bodies = (
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b"0",
        b"9" * 5000,
        b"-" * 50,
        b"1e999999",
        b"NaN",
        b'{"id": NaN}',
        b'{"order_id": "\\ud800", "status": "success"}',
        b'{"livemode": false, "id": "evt_1", "type": "payment_intent.canceled", "data": null}',
        b'{"livemode": false, "id": 1e400, "type": 9e99, "created": -1}',
        b"[" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        b"\xff\xfe\x00",
        b'\xef\xbb\xbf{"order_id": "a", "status": "success"}',
        '{"order_id": "\u0661", "status": "success"}'.encode("utf-16"),
        draw.randbytes(200),
    )
    return form.callback(draw.choice(bodies))


KINDS: dict[str, Mutation] = {
    **{
        f"body {change.__name__.strip('_')}": _body(change)
        for change in (*_OF_ANY_BYTES, *_OF_A_BODY)
    },
    **{f"header {change.__name__.strip('_')}": _header(change) for change in _OF_ANY_BYTES},
    **{
        mutation.__name__.strip("_"): mutation
        for mutation in (
            _a_header_less,
            _a_header_twice,
            _a_header_of_another,
            _a_body_of_another,
            _both_forms_at_once,
            _the_other_forms_name,
            _time_moved,
            _not_just_now,
            _another_secret,
            _another_scheme,
            _another_hash,
            _another_writing,
            _other_bytes_signed,
            _of_the_other_mode,
            _signed_nonsense,
        )
    },
}


def _with_header(good: Callback, at: int, *instead: tuple[bytes, bytes]) -> Callback:
    return Callback((*good.headers[:at], *instead, *good.headers[at + 1 :]), good.body)


def _time_in(value: bytes) -> bytes:
    text = value.partition(b",")[0].removeprefix(b"t=")
    return text if text.isdigit() else b""


FLIPS = ("body bits_flipped", "header bits_flipped")
