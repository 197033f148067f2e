"""The commands of the recipes, and the tables that they print."""
