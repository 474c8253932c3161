"""Motion for the eye: a self-contained HTML viewer, films, and the report of a run."""

from motion_lightning.view.page import ClipView, viewer_assets, viewer_fragment, viewer_html, write_viewer

__all__ = ["ClipView", "viewer_assets", "viewer_fragment", "viewer_html", "write_viewer"]
