"""Plots of runs: losses, confusion matrices, attention, costs of tokens, forecasts.

Each says in its title what it shows and of which part of the data. All are readable without colours.
"""
