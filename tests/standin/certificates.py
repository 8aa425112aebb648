"""A certificate authority and a leaf for loopback, made anew for each stand-in by the openssl program."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
CONFIG = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Where the files lie."""

    ca_pem: Path
    leaf_pem: Path
    leaf_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and a leaf for localhost and 127.0.0.1 into a folder."""
    made = Certificates(ca_pem=folder / "ca.pem", leaf_pem=folder / "leaf.pem", leaf_key=folder / "leaf.key")
    ca_key, request, config = folder / "ca.key", folder / "leaf.csr", folder / "openssl.cnf"
    config.write_text(CONFIG)
    base = ("-config", str(config))
    subject = ("-subj", "/CN=Stand-in authority")
    _openssl("req", "-x509", *base, *KEY, *subject, "-days", DAYS, "-extensions", "authority",
             "-keyout", str(ca_key), "-out", str(made.ca_pem))  # fmt: skip
    _openssl("req", *base, *KEY, "-subj", "/CN=localhost", "-keyout", str(made.leaf_key), "-out", str(request))
    _openssl("x509", "-req", "-in", str(request), "-CA", str(made.ca_pem), "-CAkey", str(ca_key), "-CAcreateserial",
             "-days", DAYS, "-extfile", str(config), "-extensions", "leaf", "-out", str(made.leaf_pem))  # fmt: skip
    # Nothing else will ever be signed by it.
    ca_key.unlink()
    return made


def server_context(made: Certificates) -> ssl.SSLContext:
    """A TLS server that speaks HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.leaf_pem, made.leaf_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)
