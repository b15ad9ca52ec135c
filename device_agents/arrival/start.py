"""Run the agent: FILE SHA256 ROLE... Exit code 97 if it is missing, or its hash differs."""

import hashlib
import runpy
import sys

path, wanted = sys.argv[1:3]
try:
    with open(path, "rb") as stream:
        content = stream.read()
except EnvironmentError:
    sys.exit(97)
if hashlib.sha256(content).hexdigest() != wanted:
    sys.exit(97)
del content
sys.argv[:3] = [path]
runpy.run_path(path, run_name="__main__")
