"""The constructors of the estimators: one for each recipe, with its options.

They are made from the fields of the recipes. Editors and type checkers read them in the stubs (`*.pyi`), which
`scripts/option-stubs` writes; a test compares both.
"""
