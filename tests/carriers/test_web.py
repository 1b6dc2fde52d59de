"""gateway.carriers.web and addresses: where secrets may go, whom we believe, and that nobody stands in between."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.carriers import aliyun, web
from gateway.carriers.addresses import address_problem, fits
from gateway.carriers.verdicts import retry_after
from gateway.errors import Unavailable
from tests.carriers.provider import Gateway, Provider, texts
from tests.carriers.test_aliyun import RAIN, accepted, options


def self_signed(directory: Path) -> ssl.SSLContext:
    """A server's certificate for 127.0.0.1 that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "server.pem").write_bytes(plain + made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return context


async def test_a_certificate_that_nobody_signed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Provider(accepted).listening(self_signed(tmp_path)) as provider:
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            async with Gateway().over(aliyun.Carrier, **options(provider)):
                pass

        async def reached(address: str, seconds: float) -> str:
            return ""

        monkeypatch.setattr(web, "reach", reached)  # so that it shows only with the request
        gateway = Gateway()
        async with gateway.over(aliyun.Carrier, **options(provider)) as carrier:
            carrier.submit(texts(RAIN, 1))
            await gateway.hear(1)
        assert (gateway.kinds, gateway.errors) == ({"Deferred": 1}, {"ClientConnectorCertificateError"})
        assert gateway.failures == ["no connection: ClientConnectorCertificateError"] and provider.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://dysmsapi.aliyuncs.com",
        "https://10.0.0.1:8443/a?b=c",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_addresses_that_secrets_may_go_to(url: str) -> None:
    assert address_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dysmsapi.aliyuncs.com",
        "ftp://127.0.0.1",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "https://a:b@example.com",
        "https://a@example.com",
        "https://example.com:port",
        "https://[::1",
        "//example.com",
    ],
)
def test_and_others(url: str) -> None:
    said = address_problem(url)
    assert said is not None and all(said)


def test_a_token_must_be_there_be_long_and_be_right() -> None:
    assert fits("0123456789abcdef", "0123456789abcdef")
    assert not any(fits(*pair) for pair in [("", ""), ("short", "short"), ("0123456789abcdef", "0123456789abcdeg")])


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("5", 5.0), (" 0 ", 0.0), ("", None), ("-1", None), ("soon", None), ("9" * 9, None), ("Mon, 02 Mar 2026", None)],
)
def test_how_long_to_wait_is_read_in_seconds(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}) == seconds
