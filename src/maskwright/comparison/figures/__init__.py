"""The report's figures (plotly), made from the figures of comparison.json; text and grid take the page's colours."""
