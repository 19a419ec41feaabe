# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as text, as Markdown and as one HTML file. Label values are untrusted: each format escapes everything."""

from __future__ import annotations

import html
import math
import re
import textwrap
import unicodedata

from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize
from ansible_collections.vigil.monitoring.plugins.plugin_utils._report import (
    BAD,
    DIM,
    GOOD,
    WARN,
    Heading,
    Items,
    Line,
    Para,
    Strip,
    Table,
)

LONGEST = 160
# Of a sentence, which may list the names of many alerts.
SENTENCE = 2000
# Of a line of text, but for tables.
WIDTH = 120
MARKS = {BAD: "✗", WARN: "!", GOOD: "✓", DIM: "·", None: "·"}
BARS = "▁▂▃▄▅▆▇█"
# Shorter texts stay in one line of a cell.
SHORT = 28
STRIP = 24
SPARK = 16
# Characters with a meaning in Markdown, anywhere in a line.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#&$@{}!^])")
_MARKDOWN_LINK = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)|(?<=mailto)(:)|(?<=xmpp)(:)")
# Characters that make a list, a rule or a heading of a line that begins with them.
_MARKDOWN_START = re.compile(r"^(\d*)([-+=.)])")


def clean(text, longest=LONGEST):
    """A text in one line, sanitized and truncated: between two words, a single word only at :data:`LONGEST`."""
    whole = sanitize(text, 2 * max(longest, LONGEST))
    if len(whole) <= longest:
        return whole
    # The text up to the last blank that leaves space for the ellipsis.
    kept = whole[: longest - 1].rpartition(" ")[0].rstrip()
    return kept + " …" if kept else sanitize(whole, max(longest, LONGEST))


def _filled(table):
    """The columns that are not empty."""
    return [
        index for index in range(len(table.columns)) if any(row[index].text or row[index].plot for row in table.rows)
    ]


# ---- text


def as_text(document):
    """The report for a terminal."""
    lines = [clean(document.title).upper(), clean(document.subtitle), ""]
    for block in [document.verdict, *document.blocks]:
        if isinstance(block, Heading):
            text = clean(block.text)
            lines += ["", "", text, ("=" if block.level == 2 else "-") * len(text)]
            continue
        # No empty line below a heading.
        if lines[-1] and not lines[-1].startswith(("==", "--")):
            lines.append("")
        if isinstance(block, Para):
            lines += _filled_lines(MARKS[block.state] + " " if block.state in (BAD, WARN) else "", block.text)
        elif isinstance(block, Items):
            for state, text in block.entries:
                lines += _filled_lines(MARKS[state] + " ", text)
        elif isinstance(block, Table):
            lines += _text_table(block)
    return "\n".join(lines) + "\n"


def _filled_lines(mark, text):
    """A sentence, wrapped between words; a terminal would wrap it anywhere."""
    return textwrap.wrap(
        clean(text, SENTENCE),
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [mark]


def _text_table(table):
    header = [clean(column.title).upper() for column in table.columns]
    rows = [[_plain(cell, LONGEST if cell.name or cell is row[-1] else 60) for cell in row] for row in table.rows]
    widths = [max(_width(line[index]) for line in [header, *rows]) for index in range(len(header))]
    kept = _filled(table)
    lines = []
    for line in [header, *rows]:
        cells = [_pad(line[index], widths[index], table.columns[index].right and index != kept[-1]) for index in kept]
        lines.append("  " + "  ".join(cells).rstrip())
    if table.left:
        lines.append("  and {0} more".format(table.left))
    return lines


def _plain(cell, longest):
    return _characters(cell.plot) if cell.plot else clean(cell.text, longest)


def _width(text):
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _pad(text, width, right):
    gap = " " * (width - _width(text))
    return gap + text if right else text + gap


def _characters(plot):
    """A plot made of characters, for plain text."""
    if isinstance(plot, Strip):
        cells = ["·"] * STRIP
        for start, end in plot.spells:
            for index in range(int(start * STRIP), max(int(start * STRIP) + 1, math.ceil(end * STRIP - 1e-9))):
                if index < STRIP:
                    cells[index] = "█"
        return "".join(cells)
    values = _thinned([value for dummy, value in plot.points], SPARK)
    low, high = _bounds(values)
    steps = [min(len(BARS) - 1, max(0, int((value - low) / (high - low) * len(BARS)))) for value in values]
    return "".join(BARS[step] for step in steps)


def _thinned(values, count):
    """At most so many values, each the mean of its neighbours."""
    if len(values) <= count:
        return values
    parts = [values[len(values) * index // count : len(values) * (index + 1) // count] for index in range(count)]
    return [sum(part) / len(part) for part in parts]


def _bounds(values):
    """Lower and upper edge of a plot of percentages, so that noise does not look like a large change."""
    low, high = min(values) - 1, max(values) + 1
    if high - low < 10:
        middle = (low + high) / 2
        low, high = middle - 5, middle + 5
    if low < 0:
        low, high = 0, max(high, 10)
    if high > 100:
        low, high = min(low, 90), 100
    return low, high


# ---- Markdown


def markdown_text(text, longest=LONGEST):
    """A text as a part of a line of Markdown, escaped."""
    text = _MARKDOWN.sub(r"\\\1", clean(text, longest))
    return _MARKDOWN_LINK.sub(lambda match: "\\" + match.group(0), text)


def markdown_line(text):
    """A text as a paragraph of Markdown."""
    return _MARKDOWN_START.sub(r"\1\\\2", markdown_text(text, SENTENCE))


def markdown_code(text, longest=LONGEST):
    """A name verbatim, as a code span that is also valid in a table."""
    text = clean(text, longest)
    if not text:
        return ""
    fence = "`" * (max([len(run) for run in re.findall("`+", text)] or [0]) + 1)
    edge = " " if text[0] == "`" or text[-1] == "`" else ""
    # A backslash before the bar of a name would be read as the one that escapes it in the table.
    return fence + edge + text.replace("\\|", "\\ |").replace("|", "\\|") + edge + fence


def as_markdown(document):
    """The report as Markdown with tables as on GitHub."""
    lines = ["# " + markdown_text(document.title), "", markdown_line(document.subtitle)]
    for block in [document.verdict, *document.blocks]:
        lines.append("")
        if isinstance(block, Heading):
            lines.append("#" * block.level + " " + markdown_text(block.text))
        elif isinstance(block, Para):
            mark = MARKS[block.state].replace("!", "⚠") + " " if block.state in (BAD, WARN) else ""
            lines.append(mark + markdown_line(block.text))
        elif isinstance(block, Items):
            lines += [
                "- {0} {1}".format(MARKS[state].replace("!", "⚠"), markdown_text(text, SENTENCE))
                for state, text in block.entries
            ]
        elif isinstance(block, Table):
            lines += _markdown_table(block)
            if block.left:
                lines += ["", "and {0} more".format(block.left)]
    return "\n".join(lines) + "\n"


def _markdown_table(table):
    kept = _filled(table)
    columns = [table.columns[index] for index in kept]
    yield "| " + " | ".join(markdown_text(column.title) for column in columns) + " |"
    yield "|" + "|".join("---:" if column.right else "---" for column in columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_markdown_cell(row[index]) for index in kept) + " |"


def _markdown_cell(cell):
    if cell.plot:
        return _characters(cell.plot)
    text = markdown_code(cell.text) if cell.name else markdown_text(cell.text)
    return "**{0}**".format(text) if text and cell.state == BAD else text or " "


# ---- messages

# Of a message in Slack, which cuts what is longer than 4,000 characters.
SLACK = 3500
# Mail programs ignore style sheets, or parts of them.
INLINE = {
    BAD: "color:#c5221f;font-weight:600",
    WARN: "color:#9a6700;font-weight:600",
    GOOD: "color:#1a7f37",
    DIM: "color:#68717a",
    None: "",
}


def slack_text(text, longest=LONGEST):
    """A text as a part of a message in Slack: https://docs.slack.dev/messaging/formatting-message-text"""
    text = clean(text, longest)
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escaped)
    return text


def as_slack(document):
    """A short report as the text of a message in Slack; its verdict is the title of the message."""
    lines = []
    for block in document.blocks:
        if isinstance(block, Heading):
            lines += ["", "*{0}*".format(slack_text(block.text))]
        elif isinstance(block, Para):
            lines.append(slack_text(block.text, SENTENCE))
        elif isinstance(block, Items):
            lines += ["{0} {1}".format(MARKS[state], slack_text(text, SENTENCE)) for state, text in block.entries]
    kept, length = [], 0
    for line in lines:
        length += len(line) + 1
        if length > SLACK:
            kept.append("…")
            break
        kept.append(line)
    return "\n".join(kept).strip()


def as_mail(document):
    """A short report as the HTML of an e-mail: no style sheet, no links, no images."""
    parts = ['<!DOCTYPE html>\n<html lang="en"><body style="font-family:sans-serif;font-size:15px;line-height:1.5">']
    parts.append("<h2>{0}</h2>".format(escape(document.title)))
    parts.append("<p>{0}</p>".format(escape(document.subtitle)))
    for block in [document.verdict, *document.blocks]:
        if isinstance(block, Heading):
            parts.append("<h3>{0}</h3>".format(escape(block.text)))
        elif isinstance(block, Para):
            parts.append('<p style="{0}">{1}</p>'.format(INLINE[block.state], escape(block.text, SENTENCE)))
        elif isinstance(block, Items):
            line = '<div><span style="{0}">{1}</span> {2}</div>'
            parts += [line.format(INLINE[state], MARKS[state], escape(text, SENTENCE)) for state, text in block.entries]
    parts.append("<p>The attached page has the whole report.</p>\n</body></html>")
    return "\n".join(parts) + "\n"


# ---- HTML

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2126; --dim: #68717a; --rule: #dde2e7; --card: #f6f8fa;
  --good: #1a7f37; --warn: #9a6700; --bad: #c5221f; --line: #2f6fbb; --area: #2f6fbb26; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e3e7eb; --dim: #939ca6; --rule: #30373f;
  --card: #1c2228; --good: #4cc26b; --warn: #e0a83a; --bad: #ff7b72; --line: #6cabf5; --area: #6cabf533; } }
*, *::before { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 80rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h1 + p { margin: 0 0 .6rem; color: var(--dim); }
.verdict { font-size: 1.15rem; font-weight: 600; }
h2 { margin: 2.5rem 0 0; padding-top: 1rem; border-top: 3px solid var(--ink); font-size: 1.3rem; overflow-wrap: anywhere; }
h2 + p { margin: 0 0 1rem; color: var(--dim); overflow-wrap: anywhere; }
h3 { margin: 0; font-size: 1.05rem; display: inline; }
details { margin: 1.6rem 0 0; }
summary { margin-bottom: .4rem; cursor: pointer; }
details:not([open]) + details:not([open]) { margin-top: .6rem; }
p { margin: .4rem 0; }
ul { margin: .5rem 0; padding: 0; list-style: none; }
li { padding-left: 1.6rem; text-indent: -1.6rem; overflow-wrap: anywhere; }
li::before { display: inline-block; width: 1.6rem; text-indent: 0; content: "·"; font-weight: 700; color: var(--dim); }
li.good::before { content: "✓"; color: var(--good); }
li.warn::before { content: "!"; color: var(--warn); padding-left: .2rem; }
li.bad::before { content: "✗"; color: var(--bad); }
ul.overview { margin: 1rem 0; padding: .9rem 1.1rem; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
ul.overview li { padding-top: .1rem; padding-bottom: .1rem; }
ul.overview li.bad { font-weight: 600; }
.wide { overflow-x: auto; margin: .4rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); vertical-align: bottom; font-size: .8rem; }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--rule); }
td { vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td.plot, th.plot { width: 15rem; min-width: 11rem; }
.right { text-align: right; white-space: nowrap; }
td.short { white-space: nowrap; }
.name { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .dim { color: var(--dim); }
td.bad, td.warn { font-weight: 600; }
li.good, li.warn, li.bad, li.dim { color: inherit; }
.more { color: var(--dim); font-size: .9rem; }
svg { display: block; width: 100%; height: 1.4rem; }
svg .back { fill: var(--card); } svg .tick { stroke: var(--rule); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .line { fill: none; stroke: var(--line); stroke-width: 1.6; vector-effect: non-scaling-stroke; }
svg .area { fill: var(--area); }
svg .good { fill: var(--good); } svg .warn { fill: var(--warn); } svg .bad { fill: var(--bad); } svg .dim { fill: var(--dim); }
@media (max-width: 44rem) {
  body { padding: 1rem .9rem 3rem; }
  .wide { overflow: visible; }
  table, tbody, tr { display: block; } thead { display: none; }
  tr { margin: .5rem 0; padding: .5rem .7rem; border: 1px solid var(--rule); border-radius: 8px; }
  td, td.short { display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0; border: 0; text-align: right;
    white-space: normal; overflow-wrap: anywhere; min-width: 0; }
  td::before { content: attr(data-label); color: var(--dim); font-weight: 400; text-align: left; flex: none; max-width: 50%;
    font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: normal; }
  td:first-child { font-weight: 600; text-align: left; } td:first-child::before { content: none; }
  td:empty { display: none; }
  td.plot, th.plot { display: block; width: 100%; min-width: 0; } td.plot::before { display: block; max-width: none; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --dim: #555; --rule: #ccc; --card: #f2f2f2; --good: #1a7f37;
    --warn: #8a5a00; --bad: #b3261e; --line: #2f6fbb; --area: #2f6fbb26; }
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { break-before: page; } h2:first-of-type { break-before: auto; }
  details::details-content { content-visibility: visible; block-size: auto; } summary { list-style: none; }
  h3 { break-after: avoid; } tr, ul.overview { break-inside: avoid; } thead { display: table-header-group; }
  .wide { overflow: visible; } .name { overflow-wrap: anywhere; }
  td.plot, th.plot { width: 9rem; min-width: 6rem; } th.plot { white-space: normal; }
}
"""
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{heading}</h1>
<p>{subtitle}</p>
"""


def escape(text, longest=LONGEST):
    """A text as HTML, between tags as well as in an attribute."""
    return html.escape(clean(text, longest), quote=True)


def as_html(document):
    """The report as one HTML file that loads nothing and runs nothing."""
    parts = [
        HEAD.format(
            title=escape("{0}, {1}".format(document.title, document.subtitle)),
            style=STYLE,
            heading=escape(document.title),
            subtitle=escape(document.subtitle),
        )
    ]
    parts.append("<p{0}>{1}</p>".format(_class("verdict", document.verdict.state), escape(document.verdict.text)))
    overview = folds = False
    for block in document.blocks:
        if isinstance(block, Heading):
            parts += ["</details>"] if folds else []
            folds = block.level > 2
            # The list after a heading of a server is the overview.
            overview = not folds
            heading = "<h{0}>{1}</h{0}>".format(block.level, escape(block.text))
            if folds:
                heading = "<details{0}><summary>{1}</summary>".format("" if block.folded else " open", heading)
            parts.append(heading)
        elif isinstance(block, Para):
            parts.append("<p{0}>{1}</p>".format(_class(block.state), escape(block.text, SENTENCE)))
        elif isinstance(block, Items):
            parts.append("<ul{0}>".format(' class="overview"' if overview else ""))
            parts += ["<li{0}>{1}</li>".format(_class(state), escape(text, SENTENCE)) for state, text in block.entries]
            parts.append("</ul>")
        elif isinstance(block, Table):
            parts += _html_table(block)
    parts += ["</details>"] if folds else []
    parts.append("</body>\n</html>")
    return "\n".join(parts) + "\n"


def _class(*names):
    named = " ".join(name for name in names if name)
    return ' class="{0}"'.format(named) if named else ""


def _html_table(table):
    plots = [any(row[index].plot for row in table.rows) for index in range(len(table.columns))]
    kept = _filled(table)
    yield '<div class="wide"><table>\n<thead><tr>{0}</tr></thead>\n<tbody>'.format(
        "".join(
            "<th{0}>{1}</th>".format(
                _class("right" if table.columns[index].right else None, "plot" if plots[index] else None),
                escape(table.columns[index].title),
            )
            for index in kept
        )
    )
    for row in table.rows:
        cells = []
        for index in kept:
            cell = row[index]
            names = _class(
                "right" if table.columns[index].right else None,
                "plot" if plots[index] else None,
                "name" if cell.name else None,
                "short" if cell.text and len(cell.text) <= SHORT else None,
                cell.state,
            )
            # On a phone a row is a card, and each of its values has its title beside it.
            title = ' data-label="{0}"'.format(escape(table.columns[index].title))
            cells.append("<td{0}{1}>{2}</td>".format(names, title, _svg(cell.plot) if cell.plot else escape(cell.text)))
        yield "<tr>{0}</tr>".format("".join(cells))
    yield "</tbody></table></div>"
    if table.left:
        yield '<p class="more">and {0} more</p>'.format(table.left)


def _svg(plot):
    return _svg_strip(plot) if isinstance(plot, Strip) else _svg_line(plot)


def _svg_open(title):
    return (
        '<svg viewBox="0 0 240 24" preserveAspectRatio="none" role="img" aria-label="{0}"><title>{0}</title>'
        '<rect class="back" width="240" height="24"/>'
    ).format(escape(title, 400))


def _ticks(places):
    return "".join('<line class="tick" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="24"/>'.format(240 * at) for at in places)


def _svg_strip(plot):
    spells = "".join(
        '<rect class="{0}" x="{1:.1f}" y="4" width="{2:.1f}" height="16"/>'.format(
            plot.state, 240 * start, max(1.5, 240 * (end - start))
        )
        for start, end in plot.spells
    )
    return _svg_open(plot.title) + _ticks(plot.ticks) + spells + "</svg>"


def _svg_line(plot: Line):
    low, high = _bounds([value for dummy, value in plot.points])
    first, last = plot.points[0][0], plot.points[-1][0]
    points = " ".join(
        "{0:.1f},{1:.1f}".format(240 * (at - first) / ((last - first) or 1), 23 - 22 * (value - low) / (high - low))
        for at, value in plot.points
    )
    return '{0}<polygon class="area" points="0,24 {1} 240,24"/><polyline class="line" points="{1}"/></svg>'.format(
        _svg_open(plot.title), points
    )
