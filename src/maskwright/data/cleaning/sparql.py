"""SPARQL queries as words, as SPBERT reads them (arXiv 2106.09997; preprocessing.py and generator_utils.py of its
repository).

Prefixes are expanded and their declarations dropped, well-known namespaces shortened to a word, keywords written in
lower case, variables and symbols spelt: `SELECT ?x { ?x dbo:capital ?y . }` becomes
`select var_x brack_open var_x <dbo_capital> var_y sep_dot brack_close`. Differs from the reference: a query is split
into its tokens first, so that no symbol inside an address or a string is taken for an operator; `order by` stays as it
is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from maskwright.data.cleaning.base import Cleaning, settled
from maskwright.errors import RecipeError

_NAMESPACES = {
    "dbo": "http://dbpedia.org/ontology/",
    "dbp": "http://dbpedia.org/property/",
    "dbc": "http://dbpedia.org/resource/Category:",
    "dbr": "http://dbpedia.org/resource/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dct": "http://purl.org/dc/terms/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "owl": "http://www.w3.org/2002/07/owl#",
    "yago": "http://dbpedia.org/class/yago/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "wd": "http://www.wikidata.org/entity/",
    "wdt": "http://www.wikidata.org/prop/direct/",
    "schema": "http://schema.org/",
}
_SYMBOLS = {
    "{": "brack_open",
    "}": "brack_close",
    "(": "par_open",
    ")": "par_close",
    ".": "sep_dot",
    ";": "sep_semi",
    ",": "sep_com",
    "*": "wildcard",
    "<=": "math_leq",
    ">=": "math_geq",
    "!=": "math_neq",
    "=": "math_eql",
    "<": "math_lt",
    ">": "math_gt",
    "&&": "and_logical",
    "||": "or_logical",
    "!": "bool_not",
    "^^": "str_type",
}
# Words of SPARQL 1.1 and the functions that query logs use.
_KEYWORDS = frozenset(
    """
    abs add all as asc ask avg base bind blank bnode bound by ceil choose_by_max choose_by_min clear coalesce concat
    construct contains copy cos count create data datatype day default delete desc describe distinct drop
    encode_for_uri exists filter floor from graph group group_concat having hours if in insert into iri isblank
    isiri isliteral isnumeric isuri lang langmatches lcase limit ln load log2 max md5 min minus minutes mod month
    move named not now offset optional order power prefix radians rand reduced regex replace round rounddown roundup
    sample sameterm seconds select separator service sha1 sha256 sha384 sha512 silent str strafter strbefore strdt
    strends strlang strlen strstarts struuid substr sum tan timezone to tz ucase undef union uri using uuid values
    var varp where with year
    """.split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<iri><[^<>"{}|^`\\\s]*>)
  | (?P<spelt>quote_str(?:\s.*?)?\squote_str(?!\w))               # a string that was spelt before
  | (?P<string>\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
  | (?P<variable>[?$]\w+)
  | (?P<named>(?:_|[^\W\d_][\w-]*(?:\.[\w-]+)*)?:(?:[\w:%-]|\.(?=[\w:%-])|\\.)+)
  | (?P<word>\w+(?:[.-]\w+)*)
  | (?P<symbol><=|>=|!=|&&|\|\||\^\^|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_DECLARATION = re.compile(r"\bPREFIX\s+([\w.-]*):\s*<([^<>\s]*)>\s*\.?", re.IGNORECASE)
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})T00:00:00Z")


class Sparql(Cleaning):
    """One query a document. namespaces: further ones, by the word that stands for them."""

    def __init__(self, namespaces: Mapping[str, str] | None = None) -> None:
        self.namespaces = _NAMESPACES | dict(namespaces or {})
        for word, address in self.namespaces.items():
            if not re.fullmatch(r"\w+", word) or not isinstance(address, str) or ":" not in address:
                raise RecipeError(
                    f"cleaning.namespaces has {word}: {address}; give words with the address that they stand for, as "
                    "in {ex: 'http://example.org/'}."
                )
        # The longest first: http://dbpedia.org/resource/Category: is also within http://dbpedia.org/resource/.
        self._by_length = sorted(self.namespaces.items(), key=lambda item: -len(item[1]))

    def settings(self) -> dict[str, Any]:
        return {"cleaning": "sparql 1", "namespaces": self.namespaces}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        return settled(text, self._once)  # a second time only where quotation marks did not pair

    def _once(self, text: str) -> str:
        declared = dict(_DECLARATION.findall(text))
        return " ".join(self._spelt(_DECLARATION.sub(" ", text), declared))

    def _spelt(self, query: str, declared: Mapping[str, str]) -> Iterator[str]:
        for token in _TOKEN.finditer(query):
            kind, written = str(token.lastgroup), token[0]
            if kind == "iri":
                yield self._shortened(written[1:-1])
            elif kind == "named":
                yield self._named(written, declared)
            elif kind == "variable":
                yield f"var_{written[1:]}"
            elif kind == "string":
                mark = 3 if written[:3] in ('"""', "'''") and len(written) >= 6 else 1
                content = _MIDNIGHT.sub(r"\1", " ".join(written[mark:-mark].split()))
                yield f"quote_str {content} quote_str" if content else "quote_str quote_str"
            elif kind == "language":
                yield f"lang_{written[1:].lower()}"
            elif kind == "symbol":
                yield _SYMBOLS.get(written, written)
            elif kind == "word":
                yield written.lower() if written.lower() in _KEYWORDS else _MIDNIGHT.sub(r"\1", written)
            elif kind == "spelt":
                yield " ".join(written.split())

    def _named(self, written: str, declared: Mapping[str, str]) -> str:
        prefix, name = written.split(":", 1)
        if prefix in declared:
            return self._shortened(declared[prefix] + name)
        return f"<{prefix}_{name}>" if prefix != "_" else written

    def _shortened(self, address: str) -> str:
        for word, namespace in self._by_length:
            if address.startswith(namespace) and len(address) > len(namespace):
                return f"<{word}_{address[len(namespace) :]}>"
        return f"<{address}>"
