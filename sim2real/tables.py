"""Tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(lines: Sequence[Sequence[str]]) -> str:
    """Columns side by side, as wide as their widest cell; the first line is the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def html_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; nothing for no rows."""
    if not body:
        return ""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in body)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'
