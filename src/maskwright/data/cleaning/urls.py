"""Addresses of the web as two marked parts, the domain and the rest (DomURLs_BERT, arXiv 2409.09143).

`https://www.example.com:8443/a?b=1` becomes `[DOMAIN] www.example.com [PATH] :8443/a?b=1`, and the bare domain
`WWW.example.com` becomes `[DOMAIN] www.example.com`.
"""

from __future__ import annotations

import re
from typing import Any

import idna

from maskwright.data.cleaning.base import Cleaning
from maskwright.errors import RecipeError

_SCHEME = re.compile(r"(?:([a-z][a-z0-9+.-]*):)?//", re.IGNORECASE)
_PARTS = re.compile(r"(?P<user>[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?P<port>:\d*)?(?P<rest>.*)", re.DOTALL)
_USUAL = {"http": ":80", "https": ":443", "ftp": ":21", "ws": ":80", "wss": ":443"}
_FORMS = ("unicode", "ascii")


class Urls(Cleaning):
    """Every line of a document is one address; its scheme is dropped, and so is a port that is the scheme's usual one.

    domain, path: the markers. Before the domain's marker nothing is written; behind the path's stands all that is not
    the domain: a user name, another port, path, query and fragment. form: internationalised domains as `unicode`
    (bücher.example) or `ascii` (xn--bcher-kva.example). Domains are in lower case.
    """

    def __init__(self, domain: str = "[DOMAIN]", path: str = "[PATH]", form: str = "unicode") -> None:
        for name, marker in (("domain", domain), ("path", path)):
            if not marker or marker.split() != [marker]:
                raise RecipeError(f"cleaning.{name} is {marker!r}; give one word, such as [{name.upper()}].")
        if domain == path:
            raise RecipeError(f"cleaning.domain and cleaning.path are both {domain}; give two markers.")
        if form not in _FORMS:
            raise RecipeError(f"cleaning.form is {form!r}; choose one of {', '.join(_FORMS)}.")
        self.domain, self.path, self.form = domain, path, form
        self.markers = (domain, path)

    def settings(self) -> dict[str, Any]:
        return {"cleaning": "urls 1", "domain": self.domain, "path": self.path, "form": self.form}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        return "\n".join(self._marked(line) for line in text.strip().splitlines())

    def _marked(self, line: str) -> str:
        line = line.strip()
        if not line or line.split()[0] == self.domain:
            return line
        scheme = _SCHEME.match(line)
        parts = _PARTS.fullmatch(line[scheme.end() :] if scheme else line)
        assert parts is not None  # every string has these parts
        host = self._written(parts["host"])
        if not host or any(character.isspace() for character in host):
            return line  # not an address
        port = parts["port"] or ""
        if port == ":" or (scheme and port == _USUAL.get((scheme[1] or "").lower())):
            port = ""
        rest = f"{parts['user'] or ''}{port}{'' if parts['rest'] == '/' else parts['rest']}"
        return f"{self.domain} {host} {self.path} {rest}" if rest else f"{self.domain} {host}"

    def _written(self, host: str) -> str:
        """The host in its one form: lower case, no final dot, internationalised labels decoded or encoded."""
        host = host.lower().rstrip(".")
        if host.startswith("[") or (host.isascii() and "xn--" not in host):
            return host
        try:
            encoded = idna.encode(host, uts46=True, transitional=False).decode()
            return encoded if self.form == "ascii" else idna.decode(encoded)
        except idna.IDNAError:  # an impossible name, as in phishing: as it was written
            return host
