"""A report as one page of HTML that needs nothing else."""

from planner.report.html.render import render_html

__all__ = ["render_html"]
