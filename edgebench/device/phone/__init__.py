"""Phones without an installation: a page in the browser is the agent, served by a process on this machine.

    deploy ──socket── server.py ──http── page.js ── worker.js      (device_agents/web)
                      session.py  answers, as on any device
                      the job     device_agents/python/job.py, whose workers are the page's web workers
                      page.py     requests to the page, and its answers

So the loop that measures boards measures phones too; only the worker differs. The server is a separate process, which
outlives the `deploy` that started it while a job runs. To stay small it uses only the standard library; the modules for
`deploy` itself (link.py, conversation.py, addresses.py, assets.py, code.py, certificate.py) do not run in it.
"""
