"""Analysis: measures, resampling, controls, tables, claims."""
