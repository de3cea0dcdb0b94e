"""A hundred images from a web server, ten at a time: with threads, with processes, with tasks.

The server is started here, on a port of 127.0.0.1 that is free, and takes a while to answer. A
download waits, so a fifth of a CPU is enough for a task; unlike a thread it could also decode its
image without keeping the others from running.
"""

import http.client
import http.server
import multiprocessing
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import kiln
from kiln.examples._report import Report, main

ANSWER_SECONDS = 0.05


def image(number: int, size: int = 32) -> bytes:
    """Returns a PNG file: a grey square, another shade for each number."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([number % 256]) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


class ImageHandler(http.server.BaseHTTPRequestHandler):
    """Answers GET /7.png."""

    def do_GET(self) -> None:
        time.sleep(ANSWER_SECONDS)
        body = image(int(self.path[1:].removesuffix(".png")))
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""


class ImageServer(http.server.ThreadingHTTPServer):
    """Lets as many clients as come wait to be answered."""

    request_queue_size = 128


@contextmanager
def image_server() -> Iterator[int]:
    """Serves images in another process; gives the port."""
    with ImageServer(("127.0.0.1", 0), ImageHandler) as server:
        process = multiprocessing.Process(target=server.serve_forever, daemon=True)
        process.start()
        port = server.server_port
    try:
        yield port
    finally:
        process.terminate()
        process.join()


def download(port: int, number: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", f"/{number}.png")
        return connection.getresponse().read()
    finally:
        connection.close()


def serially(port: int, count: int) -> list[bytes]:
    return [download(port, number) for number in range(count)]


def in_threads(port: int, count: int) -> list[bytes]:
    with ThreadPoolExecutor(10) as threads:
        return list(threads.map(download, [port] * count, range(count)))


def in_tasks(port: int, count: int) -> list[bytes]:
    task = kiln.remote(num_cpus=0.2)(download)
    return kiln.get([task.remote(port, number) for number in range(count)])


def run(report: Report) -> None:
    count = report.size(100, 20)
    images = [image(number) for number in range(count)].__eq__
    with image_server() as port:
        report.time("serial", serially, port, count, correct=images)
        report.time("threads", in_threads, port, count, correct=images, repeat=2)
        with report.start("Pool(10)", multiprocessing.Pool, 10) as pool:
            jobs = [(port, number) for number in range(count)]
            report.time("multiprocessing", pool.starmap, download, jobs, 1, correct=images,
                        repeat=2)
        report.start("kiln.init()", kiln.init)
        report.time("kiln", in_tasks, port, count, correct=images, repeat=2)


if __name__ == "__main__":
    main(run)
