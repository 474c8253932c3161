"""Pieces of pages: what one kind of data shows of itself, to be put into a page of its own or into a report."""

from pathlib import Path
from typing import NamedTuple

from motion_lightning.motion.skeleton import Skeleton
from motion_lightning.view.page import ClipView, page_html, viewer_assets, viewer_fragment, write_text


class Fragment(NamedTuple):
    """HTML with the style sheet and the script elements that it needs, which may stand once for several."""

    body: str
    style: str = ""
    script: str = ""


def viewer(clips: list[ClipView], skeleton: Skeleton | None = None) -> Fragment:
    """Skeletons that play in step and turn with the mouse."""
    return Fragment(viewer_fragment(clips, skeleton), *viewer_assets())


def write_page(path: str | Path, title: str, fragment: Fragment, intro_html: str = "") -> Path:
    """A whole page below a heading, written at once or not at all; ``intro_html`` goes in unescaped."""
    from html import escape

    body = f"<header><h1>{escape(title)}</h1>\n{intro_html}</header>\n{fragment.body}"
    return write_text(path, page_html(title, body, fragment.style, fragment.script))
