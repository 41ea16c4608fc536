"""The encryption keys: what they open, what they do not, and how they are changed."""

import base64
import random

import pytest

from app.keyring import Keyring, TamperedError, UnknownKeyError

# Seeded: every process that collects the tests gives them the same names.
CHANCE = random.Random("tillflow")  # noqa: S311
OLD = f"2026-01:{base64.b64encode(CHANCE.randbytes(32)).decode()}"
NEW = f"2026-11:{base64.b64encode(CHANCE.randbytes(32)).decode()}"


def test_the_newest_key_encrypts_and_every_key_decrypts() -> None:
    old, both = Keyring.parse(OLD), Keyring.parse(f"{NEW}, {OLD}")
    text = old.encrypt(b"money", "email")
    assert both.decrypt(text, "email", old.newest) == b"money"
    assert both.newest == "2026-11"
    with pytest.raises(UnknownKeyError, match="2026-11"):
        old.decrypt(both.encrypt(b"money", "email"), "email", both.newest)


def test_the_same_text_is_never_encrypted_the_same() -> None:
    ring = Keyring.parse(OLD)
    texts = {ring.encrypt(b"money", "email") for _ in range(100)}
    assert len(texts) == 100
    assert not any(b"money" in text for text in texts)


def test_every_altered_bit_is_noticed() -> None:
    ring = Keyring.parse(OLD)
    text = ring.encrypt(b"money", "email")
    for at in range(len(text) * 8):
        altered = bytearray(text)
        altered[at // 8] ^= 1 << at % 8
        with pytest.raises(TamperedError):
            ring.decrypt(bytes(altered), "email", ring.newest)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_a_text_cut_short_is_noticed(length: int) -> None:
    ring = Keyring.parse(OLD)
    with pytest.raises(TamperedError):
        ring.decrypt(ring.encrypt(b"money", "email")[:length], "email", ring.newest)


def test_a_text_cannot_be_moved_to_another_purpose() -> None:
    ring = Keyring.parse(OLD)
    with pytest.raises(TamperedError):
        ring.decrypt(ring.encrypt(b"money", "email"), "temporal", ring.newest)


def test_a_fingerprint_depends_on_value_purpose_and_key() -> None:
    ring = Keyring.parse(OLD)
    same = ring.fingerprint("4242", "card")
    assert same == Keyring.parse(OLD).fingerprint("4242", "card")
    others = {
        ring.fingerprint("4243", "card"),
        ring.fingerprint("4242", "address"),
        Keyring.parse(NEW).fingerprint("4242", "card"),
    }
    assert same not in others
    assert len(others) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "nothing",
        "id:",
        "id:" + base64.b64encode(CHANCE.randbytes(31)).decode(),
        ":" + base64.b64encode(CHANCE.randbytes(32)).decode(),
        "an id:" + base64.b64encode(CHANCE.randbytes(32)).decode(),
        "id:" + "*" * 44,
        f"{OLD},{OLD}",
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="key") as refused:
        Keyring.parse(text)
    secret = text.partition(":")[2]
    assert not secret or secret not in str(refused.value)
