"""A page of questions about clips, and apart from it the key that tells whose clips they are."""

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from motion_lightning import __version__
from motion_lightning.errors import UserError
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.page import page_html, write_text

CAMERAS = {"pairs": "fixed", "choose": "free"}  # where two are compared, they are seen from one place
NOUNS = {"pairs": "pairs", "choose": "clips"}
TITLES = {"pairs": "Which of the two?", "choose": "Which sentence is it?"}
INTRODUCTIONS = {
    "pairs": "You see two clips of the same sentence, side by side, and are asked two questions about each pair. Who "
    "made which is shuffled anew for every pair. If you see no difference, say that you cannot tell.",
    "choose": "You see one clip at a time and eight sentences. One of them is what the clip was made of: choose it, "
    "and guess where you are not sure.",
}
PRIVACY = "Answers stay in this browser, also when you close the page, until you save them to a file at the end."


class Question(NamedTuple):
    """Its name in the file of answers, its words, and what may be answered: (value, words)."""

    name: str
    text: str
    answers: Sequence[tuple[str, str]]


class Item(NamedTuple):
    """Something to look at with questions about it. Only ``key`` tells whose it is, and stays out of the page."""

    fragment: Fragment
    questions: Sequence[Question]
    key: dict[str, Any]
    text: str = ""


def write_judged(folder: Path, kind: str, items: Sequence[Item], facts: dict[str, Any]) -> Path:
    """Write <kind>.html and <kind>.key.json; the page's path is returned."""
    body = "\n".join(_section(i, item) for i, item in enumerate(items))
    page = page_id(items)
    data = json.dumps({"kind": kind, "page": page})
    body = (
        f'<div class="judge" data-camera="{CAMERAS[kind]}">{_start(kind, len(items))}\n{body}\n{_end()}\n{_bar()}'
        f'<script type="application/json" class="page">{data}</script></div>'
    )
    styles, scripts = (dict.fromkeys(item.fragment[i] for item in items) for i in (1, 2))
    script = f"<script>\n(() => {{\n{_read('judge.js')}\n}})();\n</script>"
    whole = page_html(TITLES[kind], body, "".join(styles) + _read("judge.css"), "".join(scripts) + script)
    key = {"kind": kind, "page": page, "version": __version__, **facts, "items": [item.key for item in items]}
    write_text(folder / f"{kind}.key.json", json.dumps(key, ensure_ascii=False, indent=1))
    return write_text(folder / f"{kind}.html", whole)


def page_id(items: Sequence[Item]) -> str:
    """Of what is seen and asked: a page that is made again the same has the same."""
    seen = json.dumps([[item.fragment.body, item.questions, item.text] for item in items])
    return hashlib.sha256(seen.encode()).hexdigest()[:12]


def check_keys(folder: Path, made: Mapping[str, Sequence[Item]]) -> None:
    """UserError where the folder holds the key of other pages: what people answered could not be read without it."""
    for kind, items in made.items():
        file = folder / f"{kind}.key.json"
        if file.is_file() and f'"page": "{page_id(items)}"' not in file.read_text(encoding="utf-8"):
            raise UserError(
                f"{file} is the key of another page, which its answers need: give another out=, or remove it"
            )


def _section(number: int, item: Item) -> str:
    text = f"<h2>“{html.escape(item.text)}”</h2>" if item.text else ""
    return (
        f'<section class="item" hidden>{text}\n{item.fragment.body}\n'
        f'<div class="questions">{"".join(map(_question, item.questions))}</div></section>'
    )


def _question(question: Question) -> str:
    answers = "".join(
        f'<button type="button" data-answer="{value}"><kbd>{key}</kbd> {html.escape(text)}</button>'
        for key, (value, text) in enumerate(question.answers, 1)
    )
    return (
        f'<fieldset data-question="{question.name}"><legend>{html.escape(question.text)}</legend>'
        f"<div>{answers}</div></fieldset>"
    )


def _start(kind: str, count: int) -> str:
    keys = {
        "pairs": "<kbd>1</kbd> left, <kbd>2</kbd> right, <kbd>3</kbd> cannot tell",
        "choose": "<kbd>1</kbd> to <kbd>8</kbd>",
    }
    return (
        f'<section class="start" hidden><h1>{TITLES[kind]}</h1><p>{INTRODUCTIONS[kind]}</p>'
        f"<p>Keys answer, too: {keys[kind]}; <kbd>Backspace</kbd> goes back. Clips play again and again. {PRIVACY}</p>"
        '<p><label>Your name, if you like <input type="text" class="viewer" maxlength="60"></label></p>'
        f'<p><button type="button" class="main" data-go="next">Start: {count} {NOUNS[kind]}</button></p></section>'
    )


def _end() -> str:
    return (
        '<section class="end" hidden><h1>Thank you</h1><p class="left"></p>'
        "<p>Save the answers, and send the file to whoever gave you this page.</p>"
        '<p><button type="button" class="main" data-go="save">Save answers</button></p>'
        '<p><button type="button" data-go="anew">Somebody else answers: start anew</button></p></section>'
    )


def _bar() -> str:
    return (
        '<div class="progress"><button type="button" data-go="back">← Back</button><progress value="0"></progress>'
        '<span class="count"></span><button type="button" data-go="next">Next →</button>'
        '<button type="button" data-go="save">Save answers</button><span class="said" role="status"></span></div>'
        "<noscript>This page needs JavaScript.</noscript>"
    )


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
