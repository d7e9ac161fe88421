"""Report: figures, pages, notebooks."""
