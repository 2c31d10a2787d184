defmodule Rhizome.Graph.Catalogue do
  @moduledoc false
  # The algorithms in words, from which Rhizome.Graph.Algorithms makes its functions. What
  # there is of them is the daemon's business (port_src/graph/catalogue.c), and a test
  # compares.

  @type algorithm :: %{
          name: atom(),
          title: String.t(),
          rows: String.t(),
          parameters: [{atom(), String.t()}],
          required: [atom()],
          source: String.t()
        }

  @algorithms [
    # name, required, title, rows, parameters, source
    {:bfs, [:source], "Levels of a breadth-first search",
     "`{vertex, level, parent}`: `nil` for both where it cannot be reached",
     [
       source: "the vertex to start at; this or `:sources` is required",
       sources: "a list of vertices to start at, all at once, and at `:source` if that is given",
       max_depth: "how far to go"
     ], "Beamer, Asanovic, Patterson, *Direction-Optimizing Breadth-First Search* (2012)"},
    {:sssp, [:source], "Shortest distances from a vertex",
     "`{vertex, distance, parent}`: `:infinity` where it cannot be reached",
     [source: "the vertex to start at", delta: "the width of a bucket; chosen, if not given"],
     "Meyer, Sanders, *Delta-stepping* (2003)"},
    {:page_rank, [], "PageRank; with `:sources`, personalised", "`{vertex, rank}`",
     [
       damping: "the likelihood of going on along an edge, 0.85",
       max_iterations: "how often at most, 100",
       tolerance: "stop when the ranks change by less than this, 0.0000001",
       iterations: "how often exactly, in the place of both",
       sources: "a list of vertices where a surfer starts anew; all, if not given"
     ],
     "Page, Brin, Motwani, Winograd, *The PageRank Citation Ranking* (1999), as LDBC " <>
       "Graphalytics has it"},
    {:wcc, [], "Weakly connected components",
     "`{vertex, component}`: a component is named by one of its vertices", [],
     "Sutton, Ben-Nun, Barak, *Optimizing Parallel Graph Connectivity Computation* (Afforest, 2018)"},
    {:scc, [], "Strongly connected components",
     "`{vertex, component}`: a component is named by one of its vertices", [],
     "Tarjan, *Depth-First Search and Linear Graph Algorithms* (1972)"},
    {:cdlp, [], "Communities by label propagation", "`{vertex, label}`: the name of a community",
     [iterations: "how often at most"],
     "Raghavan, Albert, Kumara, *Near linear time algorithm to detect community structures* " <>
       "(2007), as LDBC Graphalytics has it"},
    {:lcc, [], "Local clustering coefficients", "`{vertex, coefficient}`", [],
     "Watts, Strogatz, *Collective dynamics of small-world networks* (1998), as LDBC " <>
       "Graphalytics has it"},
    {:triangle_count, [], "Triangles at each vertex", "`{vertex, triangles}`", [],
     "Latapy, *Main-memory triangle computations* (2008)"},
    {:topological_sort, [],
     "An order in which each edge leads forward. Errors: `:cyclic`, with a vertex of a cycle",
     "`{vertex, level}` in that order", [],
     "Kahn, *Topological sorting of large networks* (1962)"},
    {:cycle, [], "A cycle, if there is one", "`{cycle}`: its vertices", [],
     "a depth-first search (Tarjan, 1972)"},
    {:cycles, [], "All cycles that pass no vertex twice, within bounds",
     "`{cycle}`: its vertices",
     [max_length: "the most edges of a cycle, 10", limit: "the most cycles, 1,000"],
     "Johnson, *Finding All the Elementary Circuits of a Directed Graph* (1975)"},
    {:k_core, [], "The core number of each vertex", "`{vertex, core}`", [],
     "Batagelj, Zaversnik, *An O(m) Algorithm for Cores Decomposition of Networks* (2003)"},
    {:betweenness, [], "Betweenness centrality, exact or from samples", "`{vertex, centrality}`",
     [
       samples: "from how many vertices, chosen at random; all, if not given",
       seed: "of the choice",
       sources: "or from these vertices"
     ], "Brandes, *A Faster Algorithm for Betweenness Centrality* (2001)"},
    {:closeness, [], "Closeness centrality", "`{vertex, score}`",
     [
       improved: "whether as Wasserman and Faust have it, for graphs of several components",
       samples: "from how many vertices, chosen at random; all, if not given",
       seed: "of the choice"
     ], "Wasserman, Faust, *Social Network Analysis* (1994)"},
    {:harmonic, [], "Harmonic centrality", "`{vertex, score}`",
     [
       normalized: "whether as a part of the others, `true`",
       samples: "from how many vertices, chosen at random; all, if not given",
       seed: "of the choice"
     ], "Marchiori, Latora, *Harmony in the small-world* (2000)"},
    {:eigenvector, [], "Eigenvector centrality", "`{vertex, score}`",
     [max_iterations: "how often at most, 100", tolerance: "when to stop, 0.0000001"],
     "Bonacich, *Power and Centrality* (1987)"},
    {:hits, [], "Hubs and authorities", "`{vertex, hub, authority}`",
     [max_iterations: "how often at most, 100", tolerance: "when to stop, 0.0000001"],
     "Kleinberg, *Authoritative Sources in a Hyperlinked Environment* (1999)"},
    {:spanning_forest, [], "A minimum spanning forest", "`{from, to, weight}`",
     [objective: "`:min`, or `:max` for the heaviest"],
     "Kruskal, *On the Shortest Spanning Subtree* (1956)"},
    {:bridges, [], "Edges without which a component falls apart", "`{from, to}`", [],
     "Hopcroft, Tarjan, *Efficient Algorithms for Graph Manipulation* (1973)"},
    {:articulation_points, [], "Vertices without which a component falls apart",
     "`{vertex, articulation_point}`: whether it is one", [],
     "Hopcroft, Tarjan, *Efficient Algorithms for Graph Manipulation* (1973)"},
    {:louvain, [], "Communities of high modularity", "`{vertex, community}`",
     [
       gamma: "the resolution: more makes smaller communities, 1.0",
       max_levels: "how often communities are put together, 10",
       max_iterations: "how often each level is gone through, 10",
       tolerance: "the least gain that is worth going on, 0.0001",
       seed: "of what is left to chance"
     ],
     "Blondel, Guillaume, Lambiotte, Lefebvre, *Fast unfolding of communities in large networks* (2008)"},
    {:leiden, [], "Communities of high modularity that hang together", "`{vertex, community}`",
     [
       gamma: "the resolution: more makes smaller communities, 1.0",
       max_levels: "how often communities are put together, 10",
       max_iterations: "how often each level is gone through, 10",
       tolerance: "the least gain that is worth going on, 0.0001",
       seed: "of what is left to chance",
       theta: "how much is left to chance, 0.01"
     ], "Traag, Waltman, van Eck, *From Louvain to Leiden* (2019)"},
    {:max_flow, [:source, :target], "A maximum flow and a minimum cut", "`{vertex, source_side}`",
     [
       source: "where it comes from",
       target: "where it goes",
       rows: "`:vertices`, each with its side of the cut, or `:edges`, each with its flow"
     ], "Goldberg, Tarjan, *A New Approach to the Maximum-Flow Problem* (1988)"},
    {:k1_coloring, [], "A colouring: no two neighbours have the same", "`{vertex, color}`", [],
     "Welsh, Powell, *An upper bound for the chromatic number of a graph* (1967)"},
    {:transitive_closure, [], "All pairs with a way from one to the other, within a bound",
     "`{from, to}`", [max_pairs: "the most pairs, 10,000,000"], "a search from each vertex"},
    {:transitive_reduction, [],
     "The fewest edges that reach as far, of a graph without cycles. Errors: `:cyclic`",
     "`{from, to}`", [],
     "Aho, Garey, Ullman, *The Transitive Reduction of a Directed Graph* (1972)"},
    {:degree, [], "Degrees, and sums of weights",
     "`{vertex, out, in, total}`; with `weighted: true` also `out_weight, in_weight, total_weight`",
     [], "a count"}
  ]

  @spec all() :: [algorithm()]
  def all do
    for {name, required, title, rows, parameters, source} <- @algorithms do
      %{
        name: name,
        required: required,
        title: title,
        rows: rows,
        parameters: parameters,
        source: source
      }
    end
  end

  @spec table() :: String.t()
  def table do
    lines = for a <- all(), do: "  | `#{a.name}/2` | #{plain(a.title)} | #{a.rows} |"
    Enum.join(["| function | finds | rows |", "  | --- | --- | --- |" | lines], "\n")
  end

  # An error is nothing that is found.
  defp plain(title), do: title |> String.split(". Errors") |> hd()

  @spec docs(algorithm()) :: String.t()
  def docs(algorithm) do
    """
    #{algorithm.title}.

    Rows: #{algorithm.rows}.

    #{parameters(algorithm)}It is from #{algorithm.source}.
    """
  end

  defp parameters(%{parameters: []}), do: ""

  defp parameters(algorithm) do
    lines =
      for {name, words} <- algorithm.parameters do
        required? = name in algorithm.required and not (words =~ "required")
        required = if required?, do: " (required)", else: ""
        "  * `#{inspect(name)}` - #{words}#{required}"
      end

    "## Options\n\nThose of all (see above), and\n\n" <> Enum.join(lines, "\n") <> "\n\n"
  end
end
