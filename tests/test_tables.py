from __future__ import annotations

from sim2real.tables import html_table, text_table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_clean() -> None:
    assert text_table([("setting", "n"), ("a", "1,000"), ("b", "")]) == "setting  n\na        1,000\nb"


def test_the_first_cell_of_a_row_heads_it() -> None:
    page = html_table(("policy", "success"), [("lstm", "0.9")])
    assert "<tr><th>policy</th><th>success</th></tr>" in page
    assert "<tr><th>lstm</th><td>0.9</td></tr>" in page


def test_no_rows_no_table() -> None:
    assert html_table(("policy",), []) == ""
