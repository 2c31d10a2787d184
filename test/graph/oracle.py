#!/usr/bin/python3
"""
oracle.py -- NetworkX as a process of its own, for test_oracle.c.

    graph DIRECTED N M        a graph, and behind it M lines FROM TO WEIGHT
    ask NAME [NUMBER ...]     a question about the last one

Each question is answered by a line of numbers, or by `none` where there is no
answer (a topological order of a graph with a cycle), or by `failed` and why.
The first line written is `ready` and the versions, or what is missing.

What a question means is said at its function. Vertices are 0 .. N - 1. Graphs
have loops and edges in parallel; `simple` and `weights` say what is made of
them for functions of NetworkX that know neither.
"""

import sys

try:
    import networkx as nx
    import numpy as np
except ImportError as missing:
    print(f"missing {missing.name}: install the Debian packages", end=" ")
    print("python3-networkx and python3-numpy (.ci/setup does)", flush=True)
    sys.exit(1)

import warnings

warnings.simplefilter("ignore")


class Given:
    """A graph in the forms that questions are put to."""

    def __init__(self, directed, n, edges):
        self.directed, self.n, self.edges = directed, n, edges
        self.multi = nx.MultiDiGraph() if directed else nx.MultiGraph()
        self.multi.add_nodes_from(range(n))
        self.multi.add_weighted_edges_from(edges)
        # Each edge as one without direction.
        self.both = nx.MultiGraph()
        self.both.add_nodes_from(range(n))
        self.both.add_weighted_edges_from(edges)

    def simple(self, directed=None, loops=False):
        """Without edges in parallel, and without loops."""
        if directed is None:
            directed = self.directed
        graph = nx.DiGraph() if directed else nx.Graph()
        graph.add_nodes_from(range(self.n))
        graph.add_edges_from((u, v) for u, v, _ in self.edges if loops or u != v)
        if directed and not self.directed:
            graph.add_edges_from((v, u) for u, v, _ in self.edges if loops or u != v)
        return graph

    def sums(self):
        """Edges in parallel as one that weighs as much as they do."""
        graph = nx.DiGraph() if self.directed else nx.Graph()
        graph.add_nodes_from(range(self.n))
        for u, v, w in self.edges:
            if u != v:
                before = graph.get_edge_data(u, v, {"weight": 0})["weight"]
                graph.add_edge(u, v, weight=before + w)
        return graph

    def matrix(self):
        """The weights of the edges from u to v; a loop counts once."""
        matrix = np.zeros((self.n, self.n))
        for u, v, w in self.edges:
            matrix[u, v] += w
            if not self.directed and u != v:
                matrix[v, u] += w
        return matrix


def by_vertex(given, values, otherwise=-1):
    return [values.get(v, otherwise) for v in range(given.n)]


def smallest_of(given, sets):
    """By vertex: the smallest one of the set that it is in."""
    smallest = {}
    for some in sets:
        least = min(some)
        smallest.update((v, least) for v in some)
    return by_vertex(given, smallest)


def flat(pairs):
    return [number for pair in pairs for number in pair]


# --- questions -------------------------------------------------------------


def bfs(given, source):
    """Levels; -1: not reached."""
    return by_vertex(
        given, nx.single_source_shortest_path_length(given.multi, int(source))
    )


def sssp(given, source):
    """Distances; inf: not reached."""
    return by_vertex(
        given,
        nx.single_source_dijkstra_path_length(given.multi, int(source)),
        float("inf"),
    )


def page_rank(given, damping, *sources):
    """Ranks: the solution of the linear equations, up to rounding."""
    if given.n == 0:
        return []
    personal = {}
    for v in sources:
        personal[int(v)] = 1
    google = np.asarray(
        nx.google_matrix(
            given.multi, alpha=damping, personalization=personal or None,
            nodelist=range(given.n),
        )
    )
    system = google.T - np.eye(given.n)
    system[0, :] = 1  # one equation follows from the others; they sum up to 1
    right = np.zeros(given.n)
    right[0] = 1
    return np.linalg.solve(system, right)


def wcc(given):
    return smallest_of(given, nx.connected_components(given.both))


def scc(given):
    if not given.directed:
        return wcc(given)
    return smallest_of(given, nx.strongly_connected_components(given.multi))


def triangles(given):
    """Through each vertex, of the graph without directions."""
    return by_vertex(given, nx.triangles(given.simple(directed=False)))


def clustering(given):
    """The same; only for undirected graphs what Graphalytics says."""
    return by_vertex(given, nx.clustering(given.simple(directed=False)))


def topological_sort(given):
    """The order with the smallest vertex first, and then their levels."""
    graph = given.simple(directed=True, loops=True)
    if not nx.is_directed_acyclic_graph(graph):
        return None
    level = {}
    for number, some in enumerate(nx.topological_generations(graph)):
        level.update((v, number) for v in some)
    return list(nx.lexicographical_topological_sort(graph)) + by_vertex(given, level)


def acyclic(given):
    """Whether there is no cycle: undirected, one of three vertices or more."""
    if given.directed:
        graph = given.simple(loops=True)
        return [int(nx.is_directed_acyclic_graph(graph))]
    return [int(nx.number_of_nodes(given.simple()) == 0 or nx.is_forest(given.simple()))]


def cycles(given, most):
    """Simple cycles of at most so many vertices, each: length, vertices. The
    smallest first; undirected ones towards the smaller of its neighbours."""
    found = set()
    for cycle in nx.simple_cycles(given.simple(directed=True, loops=given.directed)):
        at = cycle.index(min(cycle))
        cycle = cycle[at:] + cycle[:at]
        if len(cycle) > most:
            continue
        if not given.directed and (len(cycle) < 3 or cycle[1] > cycle[-1]):
            continue
        found.add(tuple(cycle))
    return flat([len(cycle), *cycle] for cycle in sorted(found))


def k_core(given):
    return by_vertex(given, nx.core_number(given.simple(directed=False)))


def betweenness(given, weighted, *sources):
    """Sums over all pairs, or over those from some sources."""
    weight = "weight" if weighted else None
    if sources:
        return by_vertex(
            given,
            nx.betweenness_centrality_subset(
                given.multi, [int(v) for v in sources], list(range(given.n)),
                weight=weight,
            ),
        )
    return by_vertex(
        given,
        nx.betweenness_centrality(given.multi, normalized=False, weight=weight),
    )


def closeness(given, weighted, improved):
    """By the distances to a vertex from others."""
    return by_vertex(
        given,
        nx.closeness_centrality(
            given.multi,
            distance="weight" if weighted else None,
            wf_improved=bool(improved),
        ),
    )


def harmonic(given, weighted):
    return by_vertex(
        given,
        nx.harmonic_centrality(
            given.multi, distance="weight" if weighted else None
        ),
    )


def eigenvector(given):
    """Of length 1, by the edges that lead to a vertex: where x <- x + A'x goes
    from equal elements; none if it does not get there in a few steps."""
    if given.n == 0:
        return []
    matrix = given.matrix().T
    power = np.eye(given.n) + matrix / max(1e-300, matrix.max())
    early = None
    for doubling in range(60):
        if doubling == 8:
            early = power.sum(axis=1) / np.linalg.norm(power.sum(axis=1))
        power = power @ power
        power /= power.max()
    late = power.sum(axis=1) / np.linalg.norm(power.sum(axis=1))
    return late if abs(late - early).max() < 1e-13 else None


def hits(given):
    """Hubs and then authorities, each of length 1; none unless one eigenvalue
    is larger than all others."""
    if given.n == 0:
        return []
    matrix = given.matrix()
    both = []
    for square in (matrix @ matrix.T, matrix.T @ matrix):
        values, vectors = np.linalg.eigh(square)
        if values[-1] < 1e-6:
            return None
        if given.n > 1 and values[-2] > 0.9 * values[-1]:
            return None
        both.extend(abs(vectors[:, -1]) / np.linalg.norm(vectors[:, -1]))
    return both


def spanning_forest(given, greatest):
    """The weight, and the number of trees."""
    find = nx.maximum_spanning_edges if greatest else nx.minimum_spanning_edges
    edges = list(find(given.both, data=True))
    return [
        sum(edge[-1]["weight"] for edge in edges),
        nx.number_connected_components(given.both),
    ]


def bridges(given):
    graph = given.both.copy()
    graph.remove_edges_from(list(nx.selfloop_edges(graph, keys=True)))
    return flat(sorted((min(u, v), max(u, v)) for u, v in nx.bridges(graph)))


def articulation_points(given):
    found = set(nx.articulation_points(given.simple(directed=False)))
    return [int(v in found) for v in range(given.n)]


def modularity(given, gamma, *labels):
    """Of the communities that have these labels."""
    sets = {}
    for v, label in enumerate(labels):
        sets.setdefault(label, set()).add(v)
    if sum(w for _, _, w in given.edges) == 0:
        return None
    return [
        nx.community.modularity(
            given.both, list(sets.values()), weight="weight", resolution=gamma
        )
    ]


def communities(given, gamma, seed):
    """The modularity of what NetworkX finds."""
    if sum(w for _, _, w in given.edges) == 0:
        return None
    sets = nx.community.louvain_communities(
        given.both, weight="weight", resolution=gamma, seed=int(seed)
    )
    return [
        nx.community.modularity(
            given.both, sets, weight="weight", resolution=gamma
        )
    ]


def max_flow(given, source, target):
    graph = given.sums()
    return [
        nx.maximum_flow_value(graph, int(source), int(target), capacity="weight")
    ]


def transitive_closure(given):
    graph = given.simple(directed=True, loops=True)
    return flat(sorted(nx.transitive_closure(graph, reflexive=False).edges()))


def transitive_reduction(given):
    graph = given.simple(directed=True, loops=True)
    if not nx.is_directed_acyclic_graph(graph):
        return None
    return flat(sorted(nx.transitive_reduction(graph).edges()))


def degree(given):
    """Out, in and in total, each for all vertices; and the same weighed."""
    graph = given.multi
    ways = [graph.degree] * 3
    if given.directed:
        ways = [graph.out_degree, graph.in_degree, graph.degree]
    return flat(
        by_vertex(given, dict(way(weight=weight)))
        for weight in (None, "weight")
        for way in ways
    )


QUESTIONS = [
    bfs, sssp, page_rank, wcc, scc, triangles, clustering, topological_sort,
    acyclic, cycles, k_core, betweenness, closeness, harmonic, eigenvector,
    hits, spanning_forest, bridges, articulation_points, modularity,
    communities, max_flow, transitive_closure, transitive_reduction, degree,
]


def answer(questions, given, words):
    try:
        numbers = questions[words[1]](given, *map(float, words[2:]))
    except Exception as error:
        return f"failed {words[1]}: {type(error).__name__} {error}".replace("\n", " ")
    if numbers is None:
        return "none"
    return " ".join(["ok", *(repr(float(number)) for number in numbers)])


def read_graph(words):
    edges = []
    for _ in range(int(words[3])):
        u, v, w = sys.stdin.readline().split()
        edges.append((int(u), int(v), float(w)))
    return Given(words[1] == "1", int(words[2]), edges)


def main():
    questions = {question.__name__: question for question in QUESTIONS}
    given = None
    print("ready networkx", nx.__version__, "numpy", np.__version__, flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "graph":
            given = read_graph(words)
        else:
            print(answer(questions, given, words), flush=True)


main()
