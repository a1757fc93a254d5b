"""Experiments of the question *Why is SGD meaningful?*"""
