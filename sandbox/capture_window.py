"""How long a card stays capturable after it was authorized."""

from sandbox.store import Store

_USUAL = 7 * 24 * 3600
_NAME = "capture_window"


def capture_window(store: Store) -> int:
    """In seconds, for what is authorized from now on."""
    return int(store.meta(_NAME) or _USUAL)


def set_capture_window(store: Store, seconds: int | None) -> None:
    """Choose another window, restarts included; None is the usual one."""
    store.set_meta(_NAME, str(seconds or _USUAL))
