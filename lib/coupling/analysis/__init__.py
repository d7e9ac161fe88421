"""From the rows of finished runs to numbers: measures, intervals, controls, committed tables and claims.

Most modules here read data frames alone. `gate`, `machines`, `step_size` and `tables` read folders of results
as well. Only `sensor.sense` asks a model anything.
"""
