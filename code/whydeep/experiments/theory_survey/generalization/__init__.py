"""Experiments of the question *Why does SGD not overfit?*"""
