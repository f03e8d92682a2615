"""Whom a connection trusts."""

import ssl

from holdfast.api.connection import certificates_for


def test_without_tls_nobody_is_trusted_and_with_it_the_usual_authorities() -> None:
    nobody = certificates_for("http://127.0.0.1:8321")
    assert isinstance(nobody, ssl.SSLContext)
    assert (nobody.verify_mode, nobody.get_ca_certs()) == (ssl.CERT_REQUIRED, [])
    assert nobody.check_hostname
    assert certificates_for("https://holdfast.example") is True
