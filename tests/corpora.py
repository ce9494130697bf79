"""Small made-up corpora of the right kind for recipes in another language or domain: real words in simple sentences.

Each function writes a file and returns its path. Text is drawn at random from word lists, so that it is varied enough
to be split and tokenised, and is the same at every call.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

SUBJECTS = {
    "en": "the president|a farmer|our congress|the old captain|this treaty|every nation|the young teacher|my brother",
    "de": "der Bundeskanzler|die Donaudampfschifffahrt|ein Bauer|unsere Stadt|das Krankenhaus|die Lehrerin|mein Bruder",
    "sk": "starý kapitán|naša učiteľka|mladý sedliak|celá krajina|nový zákon|môj brat|každá dedina|slovenský národ",
    "ru": "старый капитан|наша учительница|молодой крестьянин|вся страна|новый закон|мой брат|каждая деревня",
    "fi": "vanha kapteeni|meidän opettaja|nuori maanviljelijä|koko maa|uusi laki|veljeni|jokainen kylä|kansamme",
    "et": "vana kapten|meie õpetaja|noor talunik|kogu maa|uus seadus|minu vend|iga küla|meie rahvas",
    "zh": "中国政府|北京大学|年轻的老师|我的朋友|经济发展|长江大桥|人民群众|上海的工厂|科学研究|世界历史",
}
VERBS = {
    "en": "sees|remembers|defends|visits|describes|forgets|admires|builds",
    "de": "besucht|verteidigt|beschreibt|vergisst|bewundert|baut|erinnert|findet",
    "sk": "navštívi|bráni|opisuje|zabudne|obdivuje|stavia|pamätá|nájde",
    "ru": "посещает|защищает|описывает|забывает|любит|строит|помнит|находит",
    "fi": "näkee|muistaa|puolustaa|kuvaa|unohtaa|ihailee|rakentaa|löytää",
    "et": "näeb|mäletab|kaitseb|kirjeldab|unustab|imetleb|ehitab|leiab",
    "zh": "访问了|保护着|描述了|忘记了|欣赏|建设|记得|发现了|支持|研究",
}
OBJECTS = {
    "en": "the harbour of the city|two hundred books|a river in the north|the courage of women|the bread|peace",
    "de": "den Hafen der Stadt|zweihundert Bücher|einen Fluss im Norden|den Mut der Frauen|den Brotpreis|den Frieden",
    "sk": "prístav mesta|dvesto kníh|rieku na severe|odvahu žien|cenu chleba|mier a slobodu|vysoké hory",
    "ru": "гавань города|двести книг|реку на севере|мужество женщин|цену хлеба|мир и свободу|высокие горы",
    "fi": "kaupungin sataman|kaksisataa kirjaa|joen pohjoisessa|naisten rohkeuden|leivän hinnan|rauhan|vuoret",
    "et": "linna sadama|kakssada raamatut|jõe põhjas|naiste julguse|leiva hinna|rahu|kõrged mäed",
    "zh": "美丽的风景|两百本书|北方的河流|妇女的权利|面包的价格|和平与自由|高山|新的技术|国际关系",
}


HINGLISH = "yaar aaj match bahut acha tha kal phir milte hain office mein boss ne bola party kab hai bhai movie"


def sentences(language: str, number: int, seed: int = 0) -> Iterator[str]:
    """Simple sentences of a language."""
    chance = random.Random(f"{language} {seed}")
    parts = [part[language].split("|") for part in (SUBJECTS, VERBS, OBJECTS)]
    space, stop = ("", "。") if language == "zh" else (" ", ".")
    for _ in range(number):
        words = [chance.choice(part) for part in parts]
        if chance.random() < 0.5:
            words += ["和" if language == "zh" else ",", chance.choice(parts[0]), chance.choice(parts[1])]
            words.append(chance.choice(parts[2]))
        yield space.join(words) + stop


def text(folder: Path, language: str, documents: int = 80) -> Path:
    """A txt file, a document a line."""
    lines = list(sentences(language, 5 * documents))
    path = folder / f"{language}.txt"
    body = "\n".join(" ".join(lines[n : n + 5]) for n in range(0, len(lines), 5))
    path.write_text(body, encoding="utf-8")
    return path


def languages(folder: Path) -> Path:
    """jsonl with `lang`: Finnish, Estonian and four times as much English."""
    path = folder / "many.jsonl"
    rows = []
    for language, documents in (("fi", 40), ("et", 40), ("en", 160)):
        lines = list(sentences(language, 4 * documents))
        rows += [{"text": " ".join(lines[n : n + 4]), "lang": language} for n in range(0, len(lines), 4)]
    return _jsonl(path, rows)


def treebank(folder: Path, sentences_: int = 160) -> Path:
    """CoNLL-U with universal parts of speech."""
    chance = random.Random("treebank")
    words = {
        "DET": ["the", "a", "every", "this"],
        "NOUN": ["captain", "harbour", "nation", "teacher", "river", "treaty", "bread", "courage", "city"],
        "VERB": ["sees", "defends", "visits", "remembers", "builds", "describes"],
        "ADJ": ["old", "young", "northern", "free"],
        "ADV": ["slowly", "often", "never"],
        "PROPN": ["Washington", "Mexico", "Lincoln", "Spain"],
        "PUNCT": ["."],
    }
    shapes = ["DET NOUN VERB DET ADJ NOUN PUNCT", "PROPN ADV VERB DET NOUN PUNCT", "DET ADJ NOUN VERB PROPN ADV PUNCT"]
    blocks = []
    for number in range(sentences_):
        lines = [f"# sent_id = {number}"]
        for place, tag in enumerate(chance.choice(shapes).split(), 1):
            form = chance.choice(words[tag])
            lines.append("\t".join([str(place), form, form.lower(), tag, "_", "_", "0", "dep", "_", "_"]))
        blocks.append("\n".join(lines))
    path = folder / "bank.conllu"
    path.write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    return path


def entities(folder: Path, sentences_: int = 160) -> Path:
    """IOB: one token and its tag a line, drugs and diseases."""
    chance = random.Random("entities")
    drugs, diseases = ["aspirin", "penicillin", "insulin"], ["fever", "lung cancer", "heart failure"]
    blocks = []
    for _ in range(sentences_):
        drug, disease = chance.choice(drugs), chance.choice(diseases).split()
        dose = chance.choice(["daily", "twice", "with water", "before surgery", "in small doses"]).split()
        tagged = [
            ("the", "O"),
            (chance.choice(["patient", "woman", "man", "child"]), "O"),
            ("took", "O"),
            (drug, "B-drug"),
        ]
        tagged += [(word, "O") for word in dose] + [("against", "O")]
        tagged += [(word, "B-disease" if n == 0 else "I-disease") for n, word in enumerate(disease)]
        blocks.append("\n".join(f"{word}\t{tag}" for word, tag in tagged))
    path = folder / "bank.iob"
    path.write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    return path


def tweets(folder: Path, lines: int = 160) -> Path:
    """Hindi and English in Roman script, with names and links."""
    chance = random.Random("tweets")
    rows = []
    for number in range(lines):
        row = [chance.choice(HINGLISH.split()) for _ in range(chance.randint(4, 12))]
        row.insert(chance.randrange(len(row)), f"@{chance.choice(['rahul', 'priya', 'amit'])}_{chance.randrange(99)}")
        rows.append(" ".join([*row, *([f"https://t.co/{number:x}"] if chance.random() < 0.3 else [])]))
    return _lines(folder / "tweets.txt", rows)


def urls(folder: Path, lines: int = 200) -> Path:
    """Addresses and bare domains."""
    chance = random.Random("urls")
    names, ends = (
        ["secure-login", "example", "bank", "news", "weather", "shop", "update"],
        ["com", "net", "org", "co.uk"],
    )
    paths = ["", "/index.html", "/login.php?user=1", "/a/b/c", "/images/logo.png", "/verify/account"]
    rows = []
    for number in range(lines):
        domain = f"{chance.choice(['www.', 'mail.', ''])}{chance.choice(names)}{number % 37}.{chance.choice(ends)}"
        scheme = chance.choice(["http://", "https://", ""])
        rows.append(scheme + domain + (chance.choice(paths) if scheme else ""))
    return _lines(folder / "urls.txt", rows)


def queries(folder: Path, lines: int = 160) -> Path:
    """SPARQL, one query a line."""
    chance = random.Random("queries")
    properties = ["dbo:author", "dbo:birthPlace", "dbp:capital", "dbo:spouse", "dbo:population"]
    things = ["dbr:Berlin", "dbr:Paris", "dbr:Abraham_Lincoln", "dbr:Danube", "dbr:Hamlet", "dbr:Mexico"]
    rows = []
    for _ in range(lines):
        a, b, c = (chance.choice(properties) for _ in range(3))
        rows.append(
            f"PREFIX dbo: <http://dbpedia.org/ontology/> SELECT DISTINCT ?x WHERE {{ {chance.choice(things)} {a} ?x . "
            f"?x {b} ?y . FILTER (?y > {chance.randrange(90)}) OPTIONAL {{ ?x {c} {chance.choice(things)} }} }}"
        )
    return _lines(folder / "queries.txt", rows)


def labelled(folder: Path, rows: int = 160) -> Path:
    """jsonl with `label`: opinions, most with a word of gender."""
    chance = random.Random("labelled")
    people = ["he", "she", "the man", "the woman", "everybody"]
    words = {"good": ["fine", "superb"], "bad": ["dull", "poor"]}
    made = []
    for _ in range(rows):
        label = chance.choice(list(words))
        thing = chance.choice(["film", "book", "play", "dinner", "song", "match"])
        when = chance.choice(["today", "last night", "on monday", "in the rain", "with friends"])
        said = f"{chance.choice(people)} said the {thing} {when} was {chance.choice(words[label])}"
        seen = f"{chance.choice(people)} saw the {chance.choice(['end', 'start', 'stage'])}"
        made.append({"text": f"{said} and {seen}", "label": label})
    return _jsonl(folder / "labelled.jsonl", made)


def questions(folder: Path, options: int = 8, rows: int = 160) -> Path:
    """jsonl with `options` and `label`: which city a passage is about."""
    chance = random.Random("questions")
    cities = ["london", "paris", "rome", "berlin", "madrid", "vienna", "oslo", "athens", "dublin", "lisbon", "prague"]
    made = []
    for _ in range(rows):
        answer, label = chance.choice(cities), chance.randrange(options)
        others = chance.sample([city for city in cities if city != answer], options - 1)
        near = chance.choice(["a river", "the sea", "high hills", "old walls", "a forest"])
        does, what = chance.choice(["trades", "makes", "loves"]), chance.choice(["wine", "steel", "music"])
        passage = f"{answer} lies by {near} and {does} {what}"
        made.append({"text": passage, "options": [*others[:label], answer, *others[label:]], "label": label})
    return _jsonl(folder / "questions.jsonl", made)


def words(folder: Path, name: str, *entries: str) -> Path:
    """A list, an entry a line."""
    return _lines(folder / f"{name}.txt", list(entries))


def _lines(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    return _lines(path, [json.dumps(row, ensure_ascii=False) for row in rows])
