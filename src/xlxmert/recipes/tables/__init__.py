"""The papers' tables, redone on a part of the built-in world: one command per table, rows of equal budgets."""
