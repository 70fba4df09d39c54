"""Self-contained HTML pages: their parts, and the pages of a plan and of a store.

The names below are public as `actstore.pages`: other programs make pages of the same parts.
"""

from __future__ import annotations

from actstore.view.pages.axes import Axis, linear_axis, log_axis
from actstore.view.pages.charts import Labels, Line, line_chart
from actstore.view.pages.document import Section, facts, figure, page, table
from actstore.view.pages.markup import Markup, element, joined
from actstore.view.pages.strips import Scale, Strip, density, nothing, strip_table

__all__ = [
    "Axis",
    "Labels",
    "Line",
    "Markup",
    "Scale",
    "Section",
    "Strip",
    "density",
    "element",
    "facts",
    "figure",
    "joined",
    "line_chart",
    "linear_axis",
    "log_axis",
    "nothing",
    "page",
    "strip_table",
    "table",
]
