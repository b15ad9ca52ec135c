"""Phones without an install: a page in their browser is the agent, and a server here brings it to them.

    deploy ──socket── server.py ──http── page.js ── worker.js      (device_agents/web)
                      session.py  answers, as on any device
                      the job     device_agents/python/job.py, whose workers are the page's web workers
                      page.py     requests to the page, and its answers

So a phone is measured by the same loop as a board: only the worker is another one. The server is a process of its own
that outlives the `deploy` that started it for as long as a job runs. To be small it uses the standard library only:
what `deploy` itself runs of this folder (link.py, conversation.py, addresses.py, assets.py, code.py, certificate.py) is
no part of it.
"""
