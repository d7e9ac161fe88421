"""Self-, target- and base-faithfulness: rows of what was said and done, and the metrics over them."""
