"""Start the process that the first argument names: session (default), job FOLDER, worker."""

import sys

if sys.version_info < (3, 9):
    # No newer syntax in this file: it has to run where the rest cannot even be parsed.
    sys.stdout.write('{"hello": 0, "python": "%d.%d"}\n' % sys.version_info[:2])
    sys.exit(0)

if __name__ == "__main__":
    role = sys.argv[1] if len(sys.argv) > 1 else "session"
    if role == "session":
        from .session import main
    elif role == "job":
        from .job import main
    elif role == "worker":
        from .worker import main
    else:
        sys.exit("unknown role: %s" % role)
    main(sys.argv[2:])
