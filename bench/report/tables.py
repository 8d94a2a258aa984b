"""What all tables share: formats and the sign for nothing."""

# Our names of formats -> tabulate's.
FORMATS = {
    "markdown": "pipe",
    "github": "github",
    "latex": "latex_booktabs",
    "html": "html",
    "simple": "simple",
    "csv": "csv",
    "json": "json",
}
NOTHING = "–"
