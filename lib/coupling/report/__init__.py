"""Report: what people see. Figures, generated pages, and what notebooks and the command line show."""
