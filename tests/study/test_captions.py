"""Captions of tables: in the table, once, escaped; what is no table stays as it is."""

import pandas
from IPython.core.formatters import DisplayFormatter

from cmr.study.captions import captioned

FRAME = pandas.DataFrame({"<i>a</i>": [1, 2]}, ["CAM", "HaS > CAM"])


def test_the_caption_is_the_first_thing_in_the_table_and_all_else_is_as_it_was():
    page = captioned(FRAME, 'CUB-50, 1 < 2 & "so" on.')._repr_html_()
    caption = "\n  <caption>CUB-50, 1 &lt; 2 &amp; &quot;so&quot; on.</caption>"
    opening = '<table border="1" class="dataframe">'
    assert page == FRAME._repr_html_().replace(opening, opening + caption)
    assert page.count("<caption>") == page.count("</caption>") == 1


def test_a_notebook_shows_both_forms():
    """The last expression of a cell, `display` and `paste` all ask for these."""
    shown, _ = DisplayFormatter().format(captioned(FRAME, "Two rows."))
    assert "<caption>Two rows.</caption>" in shown["text/html"]
    assert shown["text/plain"] == f"Two rows.\n\n{FRAME}"


def test_words_in_place_of_a_table_stay_as_they_are():
    assert captioned("not run", "Two rows.") == "not run"
