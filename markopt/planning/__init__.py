"""Planners - the program, MArk's greedy heuristic and baselines."""
