"""The configuration of the documentation site: `sphinx-build -c docs/site docs build/site`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

import inventories  # noqa: E402  (of docs/site/extensions)

import fastgru  # noqa: E402

project = "fastgru"
author = "the fastgru authors"
version = release = fastgru.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "command_tree",
    "notebooks",
    "short_names",
    "source_pages",
]
root_doc = "index"
# The table of pages is for readers on a code host; the site has its own navigation.
exclude_patterns = ["README.md", "site/extensions"]
nitpicky = True

# Pages are Markdown that a code host shows as well, so few extensions are used.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "source"]  # the last one is of source_pages

# A name in single backticks is a link if the site has it, and code otherwise. All other references must exist.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:class", r".*\._\w+"),  # type variables of methods that return their own object
    ("py:class", "Init"),  # an estimator, the directory of a run, or None
    ("py:class", r"(fastgru_recipes\.recipe\.)?Data"),  # what a recipe reads, a type variable
]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False  # signatures have it
napoleon_custom_sections = [("Shapes", "params_style")]
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
highlight_language = "text"  # of blocks without a language: equations, output

intersphinx_mapping = inventories.mapping(HERE / "inventories", HERE.parents[1] / "build/inventories")

html_theme = "pydata_sphinx_theme"
html_title = f"fastgru {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "fastgru"},
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "header_links_before_dropdown": 6,
    "navigation_with_keys": True,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": []}
copyright = f"{author}, Apache-2.0"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False

# A site that is published has a folder for each version, and a list of them above. Others show no list.
if site_url := os.environ.get("FASTGRU_SITE_URL"):
    root = site_url.rstrip("/")
    html_baseurl = f"{root}/{release}/"
    versions = json.loads((HERE / "versions.json").read_text())
    switcher = HERE.parents[1] / "build/site-versions/versions.json"
    switcher.parent.mkdir(parents=True, exist_ok=True)
    switcher.write_text(json.dumps([{"version": each, "url": f"{root}/{each}/"} for each in versions]))
    html_static_path.append(str(switcher.parent))
    html_theme_options["switcher"] = {"json_url": f"{root}/versions.json", "version_match": release}
    html_theme_options["check_switcher"] = False
    html_theme_options["navbar_end"] = ["version-switcher", "theme-switcher"]


def setup(app: Sphinx) -> None:
    """Tells browsers the language of Chinese pages, by which they choose glyphs and break lines."""
    app.connect("html-page-context", _set_language)


def _set_language(app: Sphinx, page: str, template: str, context: dict[str, object], doctree: object) -> None:
    if page.startswith("zh/"):
        context["language"] = "zh-CN"
