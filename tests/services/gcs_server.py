"""Google Cloud Storage for tests: gcp-storage-emulator with the XML API, which it lacks but for plain PUT and GET.

The emulator keeps the buckets and objects; this file speaks the XML API's list, copy, delete and generation conditions
over them, as https://cloud.google.com/storage/docs/xml-api/overview describes. Usage: gcs_server.py PORT BUCKET
"""

import hashlib
import sys
import threading
import time
from email.utils import formatdate
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.handlers.objects import _make_object_resource
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

# One request at a time changes or reads the storage, so that conditions are atomic as they are at Google.
LOCK = threading.Lock()
PAGE = 1000


class XmlApi(RequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code):
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self.answer(status, text.encode(), [("Content-Type", "application/xml")])

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client broke off")
        return body

    def handle_any(self):
        url = urlsplit(self.path)
        bucket, _, name = url.path.lstrip("/").partition("/")
        name = unquote(name)
        body = self.body()
        with LOCK:
            if bucket not in self.storage.buckets:
                self.refuse(404, "NoSuchBucket")
            elif not name and self.command == "GET":
                self.list(bucket, parse_qs(url.query))
            elif self.command == "PUT":
                self.put(bucket, name, body)
            elif self.find(bucket, name) is None:
                self.refuse(404, "NoSuchKey")
            elif self.command == "DELETE":
                self.storage.delete_file(bucket, name)
                self.answer(204)
            elif self.command in ("GET", "HEAD"):
                self.get(bucket, name)
            else:
                self.refuse(405, "MethodNotAllowed")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = handle_any

    def find(self, bucket, name):
        return self.storage.objects.get(bucket, {}).get(name)

    def version(self, found):
        return [("ETag", found["etag"]), ("x-goog-generation", found["generation"])]

    def get(self, bucket, name):
        found = self.find(bucket, name)
        content = self.storage.get_file(bucket, name)
        self.answer(200, content, self.version(found) + [("Last-Modified", formatdate(usegmt=True))])

    def put(self, bucket, name, body):
        expected = self.headers.get("x-goog-if-generation-match")
        found = self.find(bucket, name)
        if expected is not None and expected != (found["generation"] if found else "0"):
            return self.refuse(412, "PreconditionFailed")
        source = self.headers.get("x-goog-copy-source")
        if source is not None:
            from_bucket, _, from_name = unquote(source).partition("/")
            try:
                body = self.storage.get_file(from_bucket, from_name)
            except NotFound:
                return self.refuse(404, "NoSuchKey")
        made = _make_object_resource("", bucket, name, "application/octet-stream", str(len(body)))
        made["etag"] = '"' + hashlib.md5(body).hexdigest() + '"'
        self.storage.create_file(bucket, name, body, made)
        text = b""
        if source is not None:
            text = f"<CopyObjectResult><ETag>{escape(made['etag'])}</ETag></CopyObjectResult>".encode()
        self.answer(200, text, self.version(made))

    def list(self, bucket, query):
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        names = sorted(n for n in self.storage.objects.get(bucket, {}) if n.startswith(prefix) and n > after)
        page, rest = names[:PAGE], names[PAGE:]
        text = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>"
        if rest:
            text += f"<IsTruncated>true</IsTruncated><NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        for name in page:
            found = self.find(bucket, name)
            text += (
                f"<Contents><Key>{escape(name)}</Key><Generation>{found['generation']}</Generation>"
                f"<LastModified>{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime())}</LastModified>"
                f"<ETag>{escape(found['etag'])}</ETag><Size>{found['size']}</Size></Contents>"
            )
        self.answer(200, (text + "</ListBucketResult>").encode(), [("Content-Type", "application/xml")])


def main():
    port, bucket = sys.argv[1:]
    storage = Storage(use_memory_fs=True)
    # Its index in JSON, which nobody reads here, grows with every object.
    storage._write_config_to_file = lambda: None
    create_bucket(bucket, storage)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(port)), partial(XmlApi, storage)).serve_forever()


main()
