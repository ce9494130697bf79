"""The page holds the figures of the JSON document, shows the rows, and asks the network for nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from maskwright.errors import RecipeError
from maskwright.seeing import page
from maskwright.seeing.look import look
from maskwright.seeing.recipes import Composed, policies
from maskwright.seeing.seen import document, seen

VOID = {"meta", "input", "br", "wbr", "line", "rect", "circle", "path"}


class Page(HTMLParser):
    """Elements with their attributes, the section and figure they stand in, and the text of each kind of element."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes, [dict(a).get("id") for _, a in self.open]))
        if tag not in VOID:
            self.open.append((tag, attributes))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), [dict(a).get("id") for _, a in self.open]))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        key = attributes.get("id") or f"{tag}.{attributes.get('class', '')}"
        self.text[key] = self.text.get(key, "") + data

    def having(self, tag, **wanted):
        return [a for name, a, _ in self.elements if name == tag and all(a.get(k) == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def several(compose, look_at, strata, tmp_path_factory):
    """Three policies on the same rows, as a page and as JSON."""
    composed = [
        Composed("masking=span", *compose("masking=span", "rate=linear", config="show_masks")),
        Composed("strata", *compose(*strata, "corruption=bert", config="show_masks")),
        Composed("delete", *compose("corruption=mask_and_delete", "rate=uniform", config="show_masks")),
    ]
    found = seen(look(composed, 40, 0.25), 3)
    place = page.write(found, tmp_path_factory.mktemp("page") / "new" / "masks.html", ["data.files=a b.txt"])
    return place, Page(place.read_text()), document(found), found


def test_the_page_holds_the_figures_of_the_json(several):
    _, read, told, _ = several
    inside = json.loads(read.text["figures"])
    assert [p["policy"] for p in inside["policies"]] == ["masking=span", "strata", "delete"]
    for shown, own in zip(inside["policies"], told["policies"]):
        for name, view in own["views"].items():
            assert shown["views"][name] == {
                key: value for key, value in view.items() if key not in ("samples", "examples", "reads")
            }
    views = [policy["views"]["main"] for policy in told["policies"]]
    for key in ("rate", "achieved_rate", "predicted_rate", "units", "mean_unit_tokens"):
        cells = read.having("td", **{"data-key": key})
        assert [float(cell["data-value"]) for cell in cells] == [view[key] for view in views]
    shares = [(a["data-outcome"], float(a["data-value"])) for a in read.having("i") if "data-outcome" in a]
    assert shares == [(name, share) for view in views for name, share in view["outcomes"].items() if share]


def test_the_charts_count_every_unit_and_row(several):
    place, _, told, _ = several
    views = [policy["views"]["main"] for policy in told["policies"]]
    svgs = re.findall(r"<svg.*?</svg>", place.read_text())
    counted = [[int(n) for n in re.findall(r'class="bar"[^>]*data-count="(\d+)"', svg)] for svg in svgs]
    expected = [list(view[key].values()) for key in ("units_by_tokens", "units_by_words", "runs_by_tokens")
                for view in views if view[key] is not None]  # fmt: skip
    expected += [view["rows_by_achieved_rate"]["achieved"] for view in views]
    assert counted[: len(expected)] == expected
    assert [sum(c) for c in counted[: len(expected)]][-3:] == [40, 40, 40]
    asked = [[float(v) for v in re.findall(r'data-key="rate" data-value="([^"]+)"', svg)] for svg in svgs]
    assert [a for a in asked if a] == [[p["rate"] for p in view["over_training"]] for view in views]


def test_the_tables_of_classes_are_the_json(several):
    _, read, told, _ = several
    cells = read.having("td", **{"class": "share"})
    found = [(c["data-column"], c["data-class"], int(c["data-tokens"]), int(c["data-masked"])) for c in cells]
    views = [policy["views"]["main"] for policy in told["policies"]]
    expected = [
        (name, one["class"], one["tokens"], one["masked"])
        for view in views
        for name, classes in view["masked_by"].items()
        for one in classes
    ]
    assert sorted(found) == sorted(expected)
    assert {name for name, *_ in found} == {"frequency", "stratum", "own rate"}


def test_the_rows_are_those_of_the_views(several):
    place, read, _, found = several
    text = place.read_text()
    articles = re.findall(r"<article.*?</article>", text, re.DOTALL)
    assert len(articles) == 3 * 3
    for number, article in enumerate(articles):
        each = found[number % 3]
        row = each.rows[number // 3]
        clean = article[article.index('<p class="text">') : article.index('<p class="text reads">')]
        for name in ("masked", "random", "kept", "removed"):
            drawn = len(re.findall(rf'class="t {name}[ "]', clean))
            assert drawn == sum(token.outcome.name.lower() == name for token in row.tokens)
        # a box opens and closes as often as there are runs of one unit
        assert len(re.findall(r'class="t [^"]*\bb\b', clean)) == len(re.findall(r'class="t [^"]*\be\b', clean))
    classes = [article["class"] for article in read.having("article")]
    assert classes == ["", "steered", " moved-about"] * 3  # what is deleted moves the rest
    legend = text[text.index('<p class="legend">') : text.index("hover or tap")]
    assert [n for n in ("masked", "random", "kept", "removed", "similar", "sentinel") if f'"t {n} b e"' in legend] == [
        "masked", "random", "kept", "removed"
    ]  # fmt: skip


def test_nothing_is_fetched(several):
    place, read, _, _ = several
    text = place.read_text()
    assert "default-src 'none'" in text
    for tag, attributes, _ in read.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed")
        assert not {"src", "href", "srcset", "action"} & attributes.keys()
    assert "@import" not in text and "url(" not in text and "fetch(" not in text and "http" not in re.sub(
        r'http-equiv="Content-Security-Policy"', "", text
    )  # fmt: skip
    assert len(text) < 1_000_000 and not read.open


def test_the_command_is_shown_as_the_shell_takes_it(several):
    assert several[1].text["code.command"] == "python show_masks.py 'data.files=a b.txt'"


def test_text_cannot_break_the_page(look_at, tmp_path, compose):
    """Markup in the corpus is text in the page."""
    file = tmp_path / "markup.txt"
    paragraph = "the </script><b>bold</b> & <i class='t'>markup</i> of {{ this }} page number "
    names = ["".join(chr(97 + (n // 26**k) % 26) for k in range(3)) for n in range(200)]
    file.write_text("\n\n".join(paragraph + name for name in names))
    cfg, choices = compose(f"data.files={file}", "tokenizer.vocabulary=64", config="show_masks")
    found = seen(look([Composed("", cfg, choices)], 8, 0.0), 2)
    text = page.write(found, tmp_path / "page.html").read_text()
    read = Page(text)
    assert not read.open and not read.having("b", **{"data-x": "1"})
    assert text.count("</script>") == 2 and "<b>bold" not in text and "&lt;" in text
    assert json.loads(read.text["figures"])["views"]["main"]["rows"] == 8


def test_rows_that_would_make_it_large_are_left_out(look_at, tmp_path, monkeypatch, compose):
    monkeypatch.setattr(page, "_MOST_TOKENS", 100)
    found = seen(look([Composed("", *compose(config="show_masks"))], 10, 0.0), 10)
    text = page.write(found, tmp_path / "page.html").read_text()
    assert text.count("<article") == 3 and "7 more rows are left out" in text


def test_a_place_that_cannot_be_written_is_named(look_at, tmp_path, compose):
    found = seen(look([Composed("", *compose(config="show_masks"))], 4, 0.0), 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="cannot be written"):
        page.write(found, tmp_path / "file" / "page.html")
    with pytest.raises(RecipeError, match="cannot be written"):
        page.write(found, tmp_path)


def test_policies_that_change_the_rows_are_refused(hydra, small_options):
    composed = policies(["", "tokenizer.vocabulary=200"], small_options)
    with pytest.raises(RecipeError, match="'tokenizer.vocabulary=200' changes the rows"):
        look(composed, 20, 0.0)
    composed = policies(["", "packing.length=24"], small_options)
    with pytest.raises(RecipeError, match="changes the rows"):
        look(composed, 20, 0.0)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_and_everything_masked(rate, compose, tmp_path):
    composed = [Composed("", *compose("masking=whole_word", f"rate.value={rate}", config="show_masks"))]
    found = seen(look(composed, 9, 0.0), 1)
    read = Page(page.write(found, tmp_path / "page.html").read_text())
    cells = read.having("td", **{"class": "share"})
    assert cells and all(int(c["data-masked"]) == rate * int(c["data-tokens"]) for c in cells)
    assert ("Nothing is masked." in read.text.get("p.", "")) == (rate == 0)
