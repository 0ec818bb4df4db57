"""A record as one page that needs nothing else: plots and pictures inside, readable on a phone."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from html import escape

from PIL import Image

from dit4sr.bench.record import Record
from dit4sr.bench.report.plots import plots
from dit4sr.bench.report.sections import Section, headline, sections
from dit4sr.runtime.errors import MissingDependencyError
from dit4sr.runtime.html.document import Document, data_uri
from dit4sr.runtime.image.photo import Picture

STYLE = """
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.busy { padding: .5rem .75rem; border-left: 4px solid #b45309; font-weight: 600; }
.figures, .pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }
.figures img { background: #ffffff; border-radius: .5rem; max-width: 30rem; }
"""


def html_report(record: Record, pictures: Sequence[tuple[str, Picture]] = ()) -> str:
    """The record as a page of HTML, with pictures by their captions."""
    return html_text(
        f"{record.subject.name} on {record.environment.machine}",
        headline(record),
        sections(record),
        draw=lambda: plots(record),
        made=f"Measured {record.made}",
        command=record.command,
        pictures=pictures,
    )


def html_text(
    title: str,
    lead: Sequence[str],
    parts: Sequence[Section],
    *,
    draw: Callable[[], Mapping[str, str]],
    made: str,
    command: str,
    pictures: Sequence[tuple[str, Picture]] = (),
) -> str:
    """A page of lines that lead, pictures, plots as SVG by title, sections, and how all of it was made."""
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *(_headline(line) for line in lead),
            _figures("pictures", "Pictures", [(name, _png(picture)) for name, picture in pictures]),
            _plots(draw),
            *(_section(section) for section in parts),
            f"<footer>{escape(made)}: <code>{escape(command)}</code></footer>",
        ]
    )
    return Document(title, STYLE, generator="dit4sr-bench").around(body)


def _headline(line: str) -> str:
    kind = ' class="busy"' if line.startswith("BUSY") else ""
    return f"<p{kind}>{escape(line)}</p>"


def _section(section: Section) -> str:
    lines = [f"<h2>{escape(section.title)}</h2>"]
    if section.rows:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in section.header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows
        )
        lines.append(
            f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        )
    lines += [f"<p>{escape(sentence)}</p>" for sentence in section.sentences]
    return "\n".join(lines)


def _plots(draw: Callable[[], Mapping[str, str]]) -> str:
    try:
        drawn = draw()
    except MissingDependencyError as error:
        return f"<p>Plots left out: {escape(str(error))}</p>"
    encoded = [(name, data_uri(svg.encode(), "image/svg+xml")) for name, svg in drawn.items()]
    return _figures("figures", "Plots", encoded)


def _figures(kind: str, title: str, sources: Sequence[tuple[str, str]]) -> str:
    if not sources:
        return ""
    shown = "".join(
        f'<figure><img src="{source}" alt="{escape(name)}"><figcaption>{escape(name)}</figcaption></figure>'
        for name, source in sources
    )
    return f'<h2>{title}</h2>\n<div class="{kind}">{shown}</div>'


def _png(picture: Picture) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return data_uri(buffer.getvalue(), "image/png")
