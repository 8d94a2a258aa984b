"""Notebooks as pages, with their stored outputs, by nbconvert; Zensical has no extension for notebooks."""

from pathlib import Path
from typing import Any

from docs.site.documents import write_page

# nbconvert's template would indent printed output, which then looks like code.
TEMPLATE = """{% extends "markdown/index.md.j2" %}
{% macro printed(text) %}
<div class="output" markdown>

````text
{{ text | strip_ansi | trim("\n") }}
````

</div>
{% endmacro %}
{% block stream %}{{ printed(output.text) }}{% endblock %}
{% block error %}{{ printed(output.traceback | join("\n")) }}{% endblock %}
{% block data_text %}{{ printed(output.data["text/plain"]) }}{% endblock %}
"""


def write_notebook(source: Path, page: Path) -> None:
    """Write the notebook's text, code and outputs to ``page``, and its pictures beside it. Nothing is executed."""
    from nbconvert import MarkdownExporter

    exporter: Any = MarkdownExporter
    name = f"{source.stem}_files"
    text, resources = exporter(raw_template=TEMPLATE).from_filename(
        str(source), resources={"unique_key": source.stem, "output_files_dir": name}
    )
    text = text.replace('<table border="1" class="dataframe">', "<table>")  # style pandas' tables like all others
    write_page(text, source, page, page.parent)
    for file, content in resources["outputs"].items():
        path = page.parent / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
