"""A web crawler against a server of its own: one async actor has hundreds of pages under way.

The server is a small site on loopback that answers each page after a pause, as the web does. The actor
fetches with asyncio, so its calls wait side by side; a second actor remembers what was seen.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from multiprocessing.pool import Pool
from typing import Any

import kiln as ray
from kiln.examples._report import Report, main

LINKS = 7


class Site:
    """Pages 0 .. count - 1; page n links to some of the next ones."""

    def __init__(self, count: int, pause: float) -> None:
        self._count = count
        self._pause = pause

    async def start(self) -> int:
        """Returns the port."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1000)
        return int(self._server.sockets[0].getsockname()[1])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        page = int(request.split()[1].strip(b"/") or 0)
        await asyncio.sleep(self._pause)
        links = [(page * LINKS + i) for i in range(1, LINKS + 1)]
        body = "".join(f'<a href="/{link}">{link}</a>\n' for link in links if link < self._count)
        writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()


async def fetch(port: int, page: int) -> list[int]:
    """The pages that a page links to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /{page} HTTP/1.0\r\n\r\n".encode())
        text = (await reader.read()).decode()
    finally:
        writer.close()
    return [int(link) for link in re.findall(r'href="/(\d+)"', text)]


def fetch_blocking(port: int, page: int) -> list[int]:
    return asyncio.run(fetch(port, page))


class Fetcher:
    async def fetch(self, port: int, page: int) -> list[int]:
        return await fetch(port, page)


def crawl_serial(port: int) -> int:
    seen, waiting = {0}, [0]
    while waiting:
        for link in fetch_blocking(port, waiting.pop()):
            if link not in seen:
                seen.add(link)
                waiting.append(link)
    return len(seen)


def crawl_in_pool(pool: Pool, port: int) -> int:
    seen, level = {0}, [0]
    while level:
        found = pool.starmap(fetch_blocking, [(port, page) for page in level])
        level = sorted({link for links in found for link in links} - seen)
        seen.update(level)
    return len(seen)


def crawl(port: int) -> int:
    fetcher = ray.remote(num_cpus=0)(Fetcher).remote()
    seen, waiting = {0}, [fetcher.fetch.remote(port, 0)]
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=1)
        new = [link for link in ray.get(ready[0]) if link not in seen]
        seen.update(new)
        waiting += [fetcher.fetch.remote(port, link) for link in new]
    return len(seen)


@contextlib.contextmanager
def site(count: int, pause: float) -> Iterator[int]:
    server = ray.remote(num_cpus=0)(Site).remote(count, pause)
    try:
        yield ray.get(server.start.remote())
    finally:
        ray.kill(server)


def run(report: Report) -> None:
    pages, pause = report.size(400, 30), report.size(10, 2) / 1000
    every = pages.__eq__
    report.start("kiln.init()", ray.init)
    with site(pages, pause) as port:
        report.time("serial", crawl_serial, port, correct=every)
        with report.start("Pool(4)", Pool, 4) as pool:
            report.time("multiprocessing level by level", crawl_in_pool, pool, port, correct=every)
        report.time("kiln with one async actor", crawl, port, correct=every)
    report.note(f"{pages} pages; the server takes {pause:g} s for each, many at a time.")


if __name__ == "__main__":
    main(run)
