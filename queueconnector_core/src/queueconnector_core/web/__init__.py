"""The operator's view over HTTP: health, metrics, status, history, taps, controls and a page.

It needs the extra `web`; nothing here imports it before `serve` is called. The routes are described
in `docs/reference/http.md`.
"""
