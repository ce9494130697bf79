"""Cleanings change nothing when applied twice, and do what their papers say."""

from __future__ import annotations

import random

import pytest
from datasets import Dataset

from maskwright.annotation.protected import Frequent
from maskwright.data import Packing, TextFiles, TrainedTokenizer, prepare
from maskwright.data.cleaning import Recover, Rewriting, Several, Sparql, Tweets, Urls, Web
from maskwright.data.cleaning.base import Cleaning
from maskwright.errors import RecipeError
from maskwright.masking import Vocabulary

FRAGMENTS = [
    "http://www.sme.sk/a(b)/c?x=1&y=2", "www.example.com", "jano.novak+x@sme.example.sk", "@user", "a@b", "[URL]", "[",
    "](", ")", "{x", "}", "<b>", "</b>", "<!-- c -->", "&amp;", "&lt;", "**", "__", "`", "#", ">", "---", "...", "!!",
    "“", "”", "‘", "\n", " ", "\n\n", "text", "Ďakujem", "2*3", "[DOMAIN]", "ftp://f.org:21/x", "xn--bcher-kva.example",
    "https://", "//", ":", "?x", "SELECT", '"', "'", "PREFIX ex: <http://ex.org/>", "ex:p", ".", ";", "quote_str", "^^",
    "@en", "<http://dbpedia.org/ontology/City>", "#", "&&", "<=", "_:b",
]  # fmt: skip
ALL = [Web(), Web(url=None, email=None), Web(markup=[], longest=None), Tweets(), Urls(), Urls(form="ascii"), Sparql()]


def noise(number: int) -> list[str]:
    draw = random.Random(number)
    return ["".join(draw.choices(FRAGMENTS, k=draw.randint(1, 12))) for _ in range(300)]


@pytest.mark.parametrize("cleaning", ALL, ids=lambda cleaning: type(cleaning).__name__)
def test_twice_is_once(cleaning):
    for text in [*noise(0), " ".join(noise(1))]:
        once = cleaning(text, {})
        assert cleaning(once, {}) == once, text


def test_web_writes_placeholders_and_takes_markup_out():
    text = (
        "Píšte na jano.novak+x@sme.example.sk, alebo http://www.sme.sk/a(b)/c?x=1&y=2. Ďakujem!!! -- Áno...\n"
        "# Nadpis\n> [odkaz](http://a.b/c) a **silný** <b>text</b> {kód {x}} AT&amp;T, 2*3*4 a_b “tak”"
    )
    assert Web()(text, {}) == (
        'Píšte na [EMAIL], alebo [URL]. Ďakujem! - Áno.\nNadpis\nodkaz a silný text  AT&T, 2*3*4 a_b "tak"'
    )
    left = Web(url=None, email=None, markup=[], longest=None, straight_quotes=False)
    assert left(text, {}) == text
    assert Web(url=None)("http://a.b//c -- x", {}) == "http://a.b//c - x"
    assert Web(longest=3)("......", {}) == "..."


def test_web_keeps_documents_of_the_languages_asked_for():
    pytest.importorskip("py3langid")
    cleaning = Web(languages=["sk", "cs"])
    assert cleaning("Toto je slovenská veta o počasí, ktorá je dosť dlhá.", {})
    assert cleaning("This is an English sentence about the weather, long enough.", {}) == ""
    assert cleaning("1234", {}) == "1234"
    assert cleaning.settings()["languages"]["codes"] == ["cs", "sk"]
    with pytest.raises(RecipeError, match=r"^cleaning.languages is \['xx'\]; give codes that py3langid knows"):
        Web(languages=["xx"])


def test_tweets_replace_names_and_links():
    text = "RT @narendra_modi: dekho https://t.co/aB1 #yoga mail me@x.org @a"
    assert Tweets()(text, {}) == "RT [USER]: dekho [LINK] #yoga mail me@x.org [USER]"
    assert Tweets("@USER", None)(text, {}) == "RT @USER: dekho https://t.co/aB1 #yoga mail me@x.org @USER"
    assert Tweets("@USER").markers == ("@USER", "[LINK]")


@pytest.mark.parametrize(
    ("address", "marked"),
    [
        ("https://www.Example.com:8443/a?b=1#c", "[DOMAIN] www.example.com [PATH] :8443/a?b=1#c"),
        ("WWW.example.com", "[DOMAIN] www.example.com"),
        ("http://www.example.com:80/", "[DOMAIN] www.example.com"),
        ("https://www.example.com:80/", "[DOMAIN] www.example.com [PATH] :80"),
        ("http://xn--bcher-kva.example/x", "[DOMAIN] bücher.example [PATH] /x"),
        ("bücher.example/x", "[DOMAIN] bücher.example [PATH] /x"),
        ("https://пример.рф", "[DOMAIN] пример.рф"),
        ("http://user:pw@host.com./x", "[DOMAIN] host.com [PATH] user:pw@/x"),
        ("http://[2001:db8::1]:8080/", "[DOMAIN] [2001:db8::1] [PATH] :8080"),
        ("http://1.2.3.4/a b", "[DOMAIN] 1.2.3.4 [PATH] /a b"),
        ("//cdn.x.com/y\n\nx.org", "[DOMAIN] cdn.x.com [PATH] /y\n\n[DOMAIN] x.org"),
        ("no address at all", "no address at all"),
    ],
)
def test_urls_are_cut_into_domain_and_rest(address, marked):
    assert Urls()(address, {}) == marked


def test_one_form_for_internationalised_domains():
    names = ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example")
    assert {Urls()(name, {}) for name in names} == {"[DOMAIN] bücher.example"}
    assert {Urls(form="ascii")(name, {}) for name in names} == {"[DOMAIN] xn--bcher-kva.example"}


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_bare_domain_and_a_url_share_the_domains_tokens(tmp_path, kind):
    """And markers are tokens of their own, never maskable and never a random replacement."""
    draw = random.Random(4)
    parts = ["news", "shop", "mail", "wiki", "jazz", "quick", "buy", "video", "bank", "cloud", "fix", "lamp", "tree"]
    sites = sorted({f"{''.join(draw.choices(parts, k=2))}{draw.randint(1, 9)}.example.org" for _ in range(120)})
    lines = []
    for site in sites:
        lines += [site, f"https://{site}:8080/{draw.choice(parts)}/page?id={draw.randint(1, 99)}"]
    (tmp_path / "urls.txt").write_text("\n".join(lines))
    corpus = TextFiles(str(tmp_path / "urls.txt"), document="line", heldout=0.2)
    cleaning, vocabulary = Urls(), {"bpe": 300, "wordpiece": 90}.get(kind, 64)
    tokenizer = TrainedTokenizer(kind, vocabulary, min_frequency=1)
    prepared = prepare(corpus, tokenizer, Packing("document", 64), cache=tmp_path / "cache", cleaning=cleaning)
    loaded = prepared.tokenizer
    domain, path = loaded.convert_tokens_to_ids(list(cleaning.markers))
    for site in sites:
        bare, full = (loaded(cleaning(address, {}), add_special_tokens=False)["input_ids"] for address in
                      (site, f"https://{site}:8080/page"))  # fmt: skip
        assert bare[0] == full[0] == domain
        assert bare == full[: full.index(path)]
    special = Vocabulary.of(loaded, cleaning.markers)
    assert {domain, path} <= set(special.special)
    assert not {domain, path} & set(special.ordinary_O.tolist())
    ids = prepared.train.take(range(len(prepared.train)))["ids"]
    assert ((ids == domain).sum(1) == 1).all()


@pytest.mark.parametrize(
    ("query", "spelt"),
    [
        (
            "PREFIX dbo: <http://dbpedia.org/ontology/>\nPREFIX ex: <http://ex.org/x#>\nSELECT (COUNT(DISTINCT ?x) AS "
            "?n) WHERE { ?x a dbo:City ; ex:p 'New. York'@en . FILTER(?y<=3.5 && !bound(?z)) # {\n} LIMIT 5",
            "select par_open count par_open distinct var_x par_close as var_n par_close where brack_open var_x a "
            "<dbo_City> sep_semi <http://ex.org/x#p> quote_str New. York quote_str lang_en sep_dot filter par_open "
            "var_y math_leq 3.5 and_logical bool_not bound par_open var_z par_close par_close brack_close limit 5",
        ),
        (
            "ASK { <http://dbpedia.org/resource/Van_'t_Hart,_Al_(x)> dbp:p \"1990-01-01T00:00:00Z\"^^xsd:date.}",
            "ask brack_open <dbr_Van_'t_Hart,_Al_(x)> <dbp_p> quote_str 1990-01-01 quote_str str_type <xsd_date> "
            "sep_dot brack_close",
        ),
        ('SELECT * { ?s ?p "select . {"; ?q ""}',
         "select wildcard brack_open var_s var_p quote_str select . { quote_str sep_semi var_q quote_str quote_str "
         "brack_close"),
    ],
)  # fmt: skip
def test_sparql_is_spelt(query, spelt):
    assert Sparql()(query, {}) == spelt
    assert Sparql()(spelt, {}) == spelt


def test_further_namespaces():
    query = "PREFIX q: <http://ex.org/x/> ASK { q:a <http://ex.org/x/b> <http://ex.org/y> }"
    assert Sparql({"ex": "http://ex.org/x/"})(query, {}) == "ask brack_open <ex_a> <ex_b> <http://ex.org/y> brack_close"


def test_several_run_one_after_the_other():
    both = Several([Tweets(), Web(longest=None)])
    assert both("@a {x} http://b.c d@e.org...", {}) == "[USER]  [LINK] [EMAIL]..."
    assert both.markers == ("[USER]", "[LINK]", "[URL]", "[EMAIL]")
    assert both.settings()["steps"] == [step.settings() for step in both.steps]
    with pytest.raises(RecipeError, match=r"^cleaning.steps is empty; list the cleanings"):
        Several()
    apart = Recover(Frequent(5), None)
    with pytest.raises(RecipeError, match=r"^cleaning.steps has steps that leave held-out documents as they are and"):
        Several([apart, Web()])


class Upper(Cleaning):
    reads = ("lang",)

    def settings(self):
        return {"cleaning": "upper"}

    def __call__(self, text, fields):
        return text.upper() if fields["lang"] == "en" else text


@pytest.mark.parametrize("processes", [1, 2])
def test_documents_are_rewritten_with_their_other_columns(tmp_path, monkeypatch, processes):
    monkeypatch.setattr("maskwright.data.cleaning.base._SMALL", 0)
    rows = {"text": ["a", "b", "c"], "document": ["0", "1", "2"], "lang": ["en", "de", "en"]}
    documents = Dataset.from_dict(rows)
    rewriting = Rewriting(Upper(), tmp_path, processes)
    assert rewriting.rewritten(documents, "train").to_dict() == {**rows, "text": ["A", "b", "C"]}
    with pytest.raises(RecipeError, match=r"^cleaning reads the column 'lang', which the documents do not carry"):
        rewriting.learn(documents.remove_columns("lang"))
    spans = documents.add_column("spans", [[{"start": 0, "end": 1}]] * 3)
    with pytest.raises(RecipeError, match=r"^cleaning would move the characters that the column 'spans' counts"):
        rewriting.learn(spans)


def test_what_the_cache_keeps_apart(tmp_path):
    for number in range(8):
        text = f"Visit http://www.site{number}.org today, {'really ' * number} and tomorrow... said @name{number}.\n"
        (tmp_path / f"{number}.txt").write_text(text * 3)
    found = {}
    for name, cleaning in {"none": None, "web": Web(), "long": Web(longest=None), "tweets": Tweets()}.items():
        corpus, tokenizer = TextFiles(f"{tmp_path}/*.txt", heldout=0.25), TrainedTokenizer(vocabulary=64)
        found[name] = prepare(corpus, tokenizer, Packing("document", 32), cache=tmp_path / "cache", cleaning=cleaning)
    assert len({prepared.fingerprints["corpus"] for prepared in found.values()}) == 4
    assert len({prepared.fingerprints["train"] for prepared in found.values()}) == 4
    again = prepare(
        TextFiles(f"{tmp_path}/*.txt", heldout=0.25), TrainedTokenizer(vocabulary=64), Packing("document", 32),
        cache=tmp_path / "cache", cleaning=Web(),
    )  # fmt: skip
    assert again.fingerprints == found["web"].fingerprints
    url = again.tokenizer.convert_tokens_to_ids("[URL]")
    assert (again.train.take(range(len(again.train)))["ids"] == url).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Web(url="a link"), r"cleaning.url is 'a link'; give one word, such as \[URL\], or null."),
        (lambda: Web(url="<url>"), r"cleaning.url is '<url>', which the cleaning would rewrite itself; choose another"),
        (lambda: Web(markup=["html"]), r"cleaning.markup names 'html'; choose among braces, tags, markdown."),
        (lambda: Web(longest=0), r"cleaning.longest is 0; give a whole number from 1 up, or null."),
        (lambda: Urls(domain=""), r"cleaning.domain is ''; give one word, such as \[DOMAIN\]."),
        (lambda: Urls(path="[DOMAIN]"), r"cleaning.domain and cleaning.path are both \[DOMAIN\]; give two markers."),
        (lambda: Urls(form="punycode"), r"cleaning.form is 'punycode'; choose one of unicode, ascii."),
        (lambda: Sparql({"a b": "http://x"}), r"cleaning.namespaces has a b: http://x; give words with the address"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(RecipeError, match="^" + message):
        make()
