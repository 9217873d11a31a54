"""Creche as a resources server that NeMo Gym starts itself.

`scaffold` writes what ``gym env start`` looks for: a folder ``resources_servers/NAME`` with an ``app.py``,
configurations, rows and their rollouts (`examples`). NeMo Gym runs that ``app.py`` in an environment of its
own, with the configuration of the whole run in a variable, API keys included. So ``app.py`` takes out what
concerns this server, and replaces itself by ``creche gym serve``, whose environment never had the rest;
`native` reads what was taken out.
"""
