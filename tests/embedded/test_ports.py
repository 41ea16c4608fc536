"""Every door has its own port."""

from dataclasses import astuple

from app.embedded.ports import Ports


def test_the_base_moves_every_port() -> None:
    ports = Ports.from_base(8700)
    assert (ports.api, ports.sandbox, ports.temporal, ports.temporal_ui) == (8700, 8701, 8702, 8703)
    assert (ports.postgres, ports.smtp, ports.codec) == (8704, 8705, 8706)


def test_free_ports_are_all_different() -> None:
    assert len(set(astuple(Ports.free()))) == 7
