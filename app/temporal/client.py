"""The connection to Temporal."""

from pathlib import Path

from temporalio.client import Client
from temporalio.service import TLSConfig

from app.config import Settings
from app.temporal.codec import encrypting


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """A client of the cluster in `settings`; a lazy one connects at its first call. What it sends
    is encrypted."""
    api_key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=api_key.get_secret_value() if api_key is not None else None,
        tls=_tls(settings),
        lazy=lazy,
        data_converter=encrypting(settings.keyring()),
    )


def _tls(settings: Settings) -> TLSConfig | bool:
    files = (
        settings.temporal_tls_server_ca_cert_path,
        settings.temporal_tls_client_cert_path,
        settings.temporal_tls_client_key_path,
    )
    if not any(files) and settings.temporal_tls_server_name is None:
        return settings.temporal_api_key is not None
    authority, certificate, key = (Path(file).read_bytes() if file else None for file in files)
    return TLSConfig(
        server_root_ca_cert=authority,
        client_cert=certificate,
        client_private_key=key,
        domain=settings.temporal_tls_server_name,
    )
