"""The experiments of *Why Does Deep Learning Work?*, and what turns them into verdicts.

Four layers, one direction of flow: data -> experiment (settings -> result) -> claims
(result -> verdict) -> page. Nothing flows back.
"""
