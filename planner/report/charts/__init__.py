"""Charts: matplotlib figures with colours safe for colour-blind eyes, as SVG or PNG."""
