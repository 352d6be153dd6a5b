"""Which of the environment's proxies an address is reached through, if any, and what if it cannot be used.

HTTP clients read the environment too, but fail over variables that do not concern the address at hand: a SOCKS proxy in
ALL_PROXY beside an HTTP proxy in HTTPS_PROXY, say. And whatever the environment says, loopback is reached directly: a
proxy's own loopback is another machine's.
"""

import os
import ssl
from functools import cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from ..errors import ConfigError
from .secrets import keep_secret

_KNOWN = ("http", "https", "socks5", "socks5h")


def is_this_machine(host: str) -> bool:
    """Whether a host's name or address is this machine's own, as seen from itself."""
    host = host.strip("[]").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback or address.is_unspecified


def proxy_of(url: str) -> str | None:
    """The proxy through which an address is reached; None where it is reached directly.

    Raises:
        ConfigError: the environment names one that cannot be used.
    """
    scheme, host = _scheme_and_host(url)
    proxies = getproxies()
    kind = scheme if proxies.get(scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or is_this_machine(host) or _bypassed(host, proxies.get("no", "")):
        return None
    scheme, separator, rest = proxy.partition("://")
    credentials = unquote((rest or scheme).rpartition("@")[0])
    keep_secret(credentials, credentials.partition(":")[2])
    if not separator:
        return f"http://{proxy}"
    variable, shown = f"{kind.upper()}_PROXY", f"{scheme}://{rest.rpartition('@')[2]}"
    way = f"or put {host} into NO_PROXY, if it is reached directly"
    scheme = "socks5" if scheme == "socks" else scheme.lower()
    if scheme not in _KNOWN:
        raise ConfigError(
            f"{variable} names {shown!r}, a kind of proxy that is not known; give http:// or socks5://, {way}"
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigError(
            f"{variable} names {shown!r}, and SOCKS proxies need a package that is missing: `pip install socksio`, or "
            f"give an HTTP proxy, {way}"
        )
    return f"{scheme}://{rest}"


def connecting(url: str) -> dict[str, Any]:
    """What an httpx2 client for an address is made with, so that it takes the right proxy or none.

    Raises:
        ConfigError: as `proxy_of`.
    """
    certificates = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return {"trust_env": False, "proxy": proxy_of(url), "verify": certificates}


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Of an address that is none, nothing: whoever asks there will say so."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return "", ""


@cache
def _certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Who is trusted: whom the environment's SSL_CERT_FILE and SSL_CERT_DIR name too; read once, as that takes long."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=True)


def _bypassed(host: str, no_proxy: str) -> bool:
    """Whether NO_PROXY has the host, by its name, its domain or its network."""
    entries = [entry.strip().strip("[]").lower() for entry in no_proxy.split(",")]
    if "*" in entries:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        domains = [entry.removeprefix("*").lstrip(".").partition(":")[0] for entry in entries]
        return any(host == domain or host.endswith(f".{domain}") for domain in domains if domain)
    for entry in entries:
        try:
            if address in ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
