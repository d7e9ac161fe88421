"""From the rows of finished runs to numbers: measures, intervals, controls, committed tables and claims.

Every module here reads data frames. Only `sensor.sense` asks a model anything.
"""
