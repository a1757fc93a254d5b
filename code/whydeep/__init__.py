"""The experiments of *Why Does Deep Learning Work?*, and what turns them into verdicts.

One direction of flow: data -> experiment (settings and chance -> result) -> claims (result ->
verdict) -> page. Nothing flows back: `code/.importlinter` names the layers and `make lint` holds
the package to them.
"""
