"""Betweenness centrality of a random graph: which nodes lie on the shortest paths of others.

The paths from each node are found apart, so the nodes are shared out. The graph is stored once; a
pool pickles it for every chunk of nodes.
"""

from multiprocessing.pool import Pool

import kiln
from kiln.examples._report import Report, main, skipped

try:
    import networkx as nx
except ModuleNotFoundError as missing:
    raise skipped(missing)

Centrality = dict[int, float]


def centrality_from(graph: nx.Graph, sources: list[int]) -> Centrality:
    return nx.betweenness_centrality_subset(graph, sources, list(graph), normalized=True)


def added(parts: list[Centrality]) -> Centrality:
    return {node: sum(part[node] for part in parts) for node in parts[0]}


def chunks(graph: nx.Graph, count: int = 16) -> list[list[int]]:
    nodes = list(graph)
    return [nodes[start::count] for start in range(count)]


def in_pool(pool: Pool, graph: nx.Graph) -> Centrality:
    jobs = [(graph, nodes) for nodes in chunks(graph)]
    return added(pool.starmap(centrality_from, jobs, chunksize=1))


def in_tasks(graph: nx.Graph) -> Centrality:
    task, shared = kiln.remote(centrality_from), kiln.put(graph)
    return added(kiln.get([task.remote(shared, nodes) for nodes in chunks(graph)]))


def run(report: Report) -> None:
    nodes = report.size(1000, 150)
    graph = nx.gnp_random_graph(nodes, 20 / nodes, seed=1)
    # A node that lies between the ends of a path counts it: added up over all nodes, that is what
    # all paths are longer than one edge.
    total = (nx.average_shortest_path_length(graph) - 1) * nodes / (nodes - 2)

    def right(centrality: Centrality) -> bool:
        return len(centrality) == nodes and abs(sum(centrality.values()) - total) < 1e-9 * total

    expected = report.time("serial", nx.betweenness_centrality, graph, correct=right)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", in_pool, pool, graph, correct=right, repeat=2)
    report.start("kiln.init()", kiln.init)
    found = report.time("kiln", in_tasks, graph, correct=right, repeat=2)
    report.check("The same as serially, node by node",
                 all(abs(found[node] - expected[node]) < 1e-9 for node in graph))


if __name__ == "__main__":
    main(run)
