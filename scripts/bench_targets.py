"""What the shared-memory transport is to reach on 2 cores: one rule per figure that has a target."""

from bench_figures import number


def at_most(limit, field="value"):
    what = {"value": "", "p50_us": "p50 ", "p99_us": "p99 "}[field]
    unit = " us" if what else ""

    def check(figures, name):
        value = figures.median(name, "shm", field)
        return f"{what}≤ {number(limit)}{unit}", None if value is None else value <= limit
    return check


def at_least(limit):
    def check(figures, name):
        value = figures.median(name, "shm")
        return f"≥ {number(limit)}", None if value is None else value >= limit
    return check


def share_of(share, other, other_transport=None):
    """At least this share of another figure of the same run."""
    def check(figures, name):
        value, bound = figures.median(name, "shm"), figures.median(other, other_transport)
        text = (f"≥ {share * 100:.0f} % of `{other}`" if share < 1 else
                f"≥ {'' if share == 1 else f'{share:g} x '}`{other}`")
        return text, None if value is None or bound is None else value >= share * bound
    return check


def faster_than_grpc(times):
    def check(figures, name):
        shm, grpc = (figures.median(name, transport, "p50_us") for transport in ("shm", "grpc"))
        return f"{times} x gRPC", None if shm is None or grpc is None else grpc >= times * shm
    return check


TARGETS = {
    "single client tasks sync":
        [at_most(8, "p50_us"), at_most(40, "p99_us"), faster_than_grpc(15)],
    "single client tasks async": [at_least(500_000)],
    "1:1 actor calls sync": [at_most(8, "p50_us")],
    "1:1 actor calls async": [at_least(500_000)],
    "actor created and its first answer": [at_most(10_000, "p50_us")],
    "1,000 actors created, called, killed": [at_most(10_000)],
    "multi client tasks async": [share_of(1, "single client tasks async", "shm")],
    "METG(50 %), independent": [at_most(10)],
    "METG(50 %), stencil": [at_most(25)],
    "single client put calls": [at_most(1.5, "p50_us")],
    "single client get calls": [at_most(1, "p50_us")],
    "single client put gigabytes": [share_of(0.85, "memcpy warm shared pages")],
    "put 1 GB, warm store, 4k pages": [share_of(0.85, "memcpy warm shared pages")],
    "put 1 GB, cold store, 4k pages": [share_of(0.9, "memcpy cold shared pages, 4k pages")],
    "put 1 GB, warm store, huge pages": [share_of(0.85, "memcpy warm shared pages, huge pages")],
    "put 1 GB, cold store, huge pages":
        [share_of(0.9, "memcpy cold shared pages, huge pages"),
         share_of(6, "put 1 GB, cold store, 4k pages", "shm")],
    "get of 1 KiB": [at_most(15, "p50_us")],
    "get of 1 MiB": [at_most(15, "p50_us")],
    "get of 1 GiB": [at_most(15, "p50_us")],
    "wait 10k refs until all done": [at_most(100)],
    "10,000 args to one task": [at_most(20)],
    "3,000 returns of one task": [at_most(10)],
    "10,000 gets in one call": [at_most(20)],
    "1M queued no-op tasks": [at_most(4)],
    "head memory per queued task": [at_most(350)],
    "start head to serving": [at_most(60)],
    "start head to first result": [at_most(120)],
    "stop head": [at_most(60)],
    "idle memory head": [at_most(12)],
    "idle memory worker": [at_most(5)],
    "idle cpu": [at_most(0)],
    "cost of spinning, 2 busy workers": [at_most(2)],
}


def targets(figures, name):
    """Returns: the targets' text, and "met" or "missed" for each that was measured."""
    results = [check(figures, name) for check in TARGETS.get(name, [])]
    words = {True: "met", False: "**missed**", None: "not measured"}
    return ", ".join(text for text, _ in results), ", ".join(words[met] for _, met in results)
