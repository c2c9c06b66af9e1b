"""moto's S3, one request at a time. Usage: moto_server.py PORT

moto checks a condition and writes in two steps; with many threads two conditional writes could both succeed, which S3
rules out.
"""

import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

LOCK = threading.Lock()
APPLICATION = DomainDispatcherApplication(create_backend_app)


def one_at_a_time(environ, start_response):
    with LOCK:
        return list(APPLICATION(environ, start_response))


run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True)
