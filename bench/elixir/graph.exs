# Suite `graph`, as callers see it: a graph of a million random edges over
# 125,000 integers, in the daemon and by hand in ETS.
#
#   one_hop            the neighbours along the edges of a vertex that has 8, of
#                      a caller that is alone; beside one call to an empty echo
#                      port, which sends the same request back, and ETS
#   two_hop            what is at most two edges away, each vertex once with its
#                      level, 73 on average; beside ETS, whose answer is the same
#   bfs_live_1m        the levels of all that can be reached from a vertex, of a
#                      graph that has just been changed: the daemon projects it
#                      anew and says how many there are; ETS has a map of them
#   bfs_projected_1m   the same of a graph that has not been changed since
#   graph_batch        edges a second of `put_edges/3`, {from, to} in random
#                      order, 10,000 in a request, four callers in turn; beside
#                      ETS, into both directions. _1: one caller
#   graph_batch_grouped   the same with the edges of a vertex together; _1
#
# `ets` is an ordered_set of {from, to}, `ets_bag` a bag; both walks through
# them are the fastest of those that we have found.

Code.require_file("support.exs", __DIR__)

options = Bench.parse("graph", System.argv())
echo = System.fetch_env!("RHIZOME_BENCH_ECHO")
n = 1_000_000
vertices = 125_000
batch = 10_000
rounds = if options.quick, do: 2, else: 5
calls = if options.quick, do: 1_000, else: 5_000
# Many short rounds: a call takes as long as the machine takes to wake up.
hop_rounds = if options.quick, do: 5, else: 15

defmodule Bench.Graph do
  # `count` edges from and to 1..vertices; the same on every run.
  def edges(count, vertices) do
    state = :rand.seed_s(:exsss, 42)

    {edges, _state} =
      Enum.map_reduce(1..count, state, fn _, state ->
        {from, state} = :rand.uniform_s(vertices, state)
        {to, state} = :rand.uniform_s(vertices, state)
        {{from, to}, state}
      end)

    edges
  end

  def put(graph, batches, callers) do
    batches
    |> Task.async_stream(&Rhizome.Graph.put_edges!(graph, &1),
      max_concurrency: callers,
      ordered: false,
      timeout: :infinity
    )
    |> Stream.run()
  end
end

defmodule Bench.EtsGraph do
  # A graph by hand, one way: an ordered_set of {from, to}, or a bag.

  def new(:ordered_set, edges) do
    table = :ets.new(:edges, [:ordered_set, :public])
    :ets.insert(table, for(edge <- edges, do: {edge}))
    {:ordered_set, table}
  end

  def new(:bag, edges) do
    table = :ets.new(:edges, [:bag, :public])
    :ets.insert(table, edges)
    {:bag, table}
  end

  def delete({_type, table}), do: :ets.delete(table)

  def neighbors({:ordered_set, table}, vertex), do: walk(table, vertex, {vertex, 0}, [])

  def neighbors({:bag, table}, vertex) do
    :ets.lookup_element(table, vertex, 2)
  rescue
    ArgumentError -> []
  end

  # Vertices count from 1.
  defp walk(table, vertex, key, found) do
    case :ets.next(table, key) do
      {^vertex, other} = key -> walk(table, vertex, key, [other | found])
      _other_vertex -> found
    end
  end

  # [{vertex, level}] of what is at most two edges away.
  def two_hop(graph, start) do
    first = neighbors(graph, start)
    found = for other <- first, into: %{start => 0}, do: {other, 1}
    found = Map.put(found, start, 0)

    found =
      Enum.reduce(first, found, fn vertex, found ->
        Enum.reduce(neighbors(graph, vertex), found, fn other, found ->
          if is_map_key(found, other), do: found, else: Map.put(found, other, 2)
        end)
      end)

    Map.to_list(found)
  end

  # A map of the levels of all that can be reached.
  def bfs(graph, start), do: bfs(graph, [start], %{start => 0}, 1)

  defp bfs(_graph, [], levels, _level), do: levels

  defp bfs(graph, front, levels, level) do
    {next, levels} =
      Enum.reduce(front, {[], levels}, fn vertex, found ->
        Enum.reduce(neighbors(graph, vertex), found, fn other, {next, levels} ->
          if is_map_key(levels, other),
            do: {next, levels},
            else: {[other | next], Map.put(levels, other, level)}
        end)
      end)

    bfs(graph, next, levels, level + 1)
  end
end

alias Bench.EtsGraph
alias Rhizome.Graph

start = fn ->
  {:ok, store} = Rhizome.start_link()
  {store, Rhizome.create_table!(store, :graph, :graph)}
end

p50 = fn case_name, count, fun ->
  Bench.latencies(div(count, 10), fun)
  [{case_name, "us_p50", Bench.percentile(Bench.latencies(count, fun), 0.5)}]
end

reads = ["one_hop", "two_hop", "bfs_live_1m", "bfs_projected_1m"]

batches = [
  "graph_batch",
  "graph_batch_1",
  "graph_batch_grouped",
  "graph_batch_grouped_1"
]

edges =
  if Enum.any?(reads ++ batches, &Bench.wanted?(options, [&1])),
    do: Bench.Graph.edges(n, vertices),
    else: []

## Reads

if Enum.any?(reads, &Bench.wanted?(options, [&1])) do
  {store, graph} = start.()
  Bench.Graph.put(graph, Enum.chunk_every(edges, batch), 1)
  ordered = EtsGraph.new(:ordered_set, edges)
  bag = EtsGraph.new(:bag, edges)

  # They ask about these in turn, which are all over the graph.
  of_8 = for vertex <- 1..vertices, length(EtsGraph.neighbors(bag, vertex)) == 8, do: vertex

  of_8 = of_8 |> Enum.take_random(calls) |> List.to_tuple()
  one = fn i -> elem(of_8, rem(i, tuple_size(of_8))) end
  any = fn i -> rem(i * 7919, vertices) + 1 end

  for i <- 1..if(options.quick, do: 100, else: 1000) do
    expected = Enum.sort(EtsGraph.two_hop(ordered, any.(i)))
    ^expected = Enum.sort(EtsGraph.two_hop(bag, any.(i)))
    ^expected = Enum.sort(Graph.k_hop(graph, [any.(i)], 2))
    expected = Enum.sort(EtsGraph.neighbors(bag, one.(i)))
    ^expected = Enum.sort(EtsGraph.neighbors(ordered, one.(i)))
    ^expected = Enum.sort(Graph.neighbors(graph, one.(i), direction: :out))
  end

  {:ok, server} = Bench.Echo.start_link(echo)

  Bench.run(options, ["one_hop"], n, hop_rounds, [
    {"rhizome",
     fn ->
       p50.("one_hop", calls, fn i ->
         [_, _, _, _, _, _, _, _] = Graph.neighbors(graph, one.(i), direction: :out)
       end)
     end},
    {"echo",
     fn ->
       p50.("one_hop", calls, fn i ->
         vertex = one.(i)

         {:neighbors, :graph, ^vertex, %{}} =
           Bench.Echo.call(server, {:neighbors, :graph, vertex, %{}})
       end)
     end},
    {"ets", fn -> p50.("one_hop", calls, &EtsGraph.neighbors(ordered, one.(&1))) end},
    {"ets_bag", fn -> p50.("one_hop", calls, &EtsGraph.neighbors(bag, one.(&1))) end}
  ])

  Bench.run(options, ["two_hop"], n, hop_rounds, [
    {"rhizome", fn -> p50.("two_hop", calls, &Graph.k_hop(graph, [any.(&1)], 2)) end},
    {"ets", fn -> p50.("two_hop", calls, &EtsGraph.two_hop(ordered, any.(&1))) end},
    {"ets_bag", fn -> p50.("two_hop", calls, &EtsGraph.two_hop(bag, any.(&1))) end},
    {"echo",
     fn ->
       p50.("two_hop", calls, fn i ->
         Bench.Echo.call(server, {:k_hop, :graph, [any.(i)], %{depth: 2}})
       end)
     end}
  ])

  Bench.Echo.stop(server)

  milliseconds = fn case_name, count, change, fun ->
    sorted =
      for i <- 1..count do
        change.(i)
        1000 * Bench.seconds(fn -> fun.(any.(i)) end)
      end

    [{case_name, "ms", Bench.percentile(Enum.sort(sorted), 0.5)}]
  end

  none = fn _i -> :ok end
  # An edge more between old vertices, so that no projection is current.
  change = fn _i ->
    number = System.unique_integer([:positive])
    Graph.put_edge!(graph, any.(number), any.(number * 31 + 7), value: number)
  end

  expected = map_size(EtsGraph.bfs(ordered, any.(1)))

  bfs = fn vertex ->
    {:ok, figures} = Graph.Algorithms.bfs(graph, source: vertex, mode: :summary)
    figures
  end

  ^expected = bfs.(any.(1)).reached

  Bench.run(options, ["bfs_live_1m"], n, rounds, [
    {"rhizome", fn -> milliseconds.("bfs_live_1m", 9, change, bfs) end},
    {"ets", fn -> milliseconds.("bfs_live_1m", 1, none, &EtsGraph.bfs(ordered, &1)) end},
    {"ets_bag", fn -> milliseconds.("bfs_live_1m", 1, none, &EtsGraph.bfs(bag, &1)) end}
  ])

  Bench.run(options, ["bfs_projected_1m"], n, rounds, [
    {"rhizome",
     fn ->
       bfs.(1)
       milliseconds.("bfs_projected_1m", 9, none, bfs)
     end}
  ])

  EtsGraph.delete(ordered)
  EtsGraph.delete(bag)
  Rhizome.stop(store)
end

## Batches

for {case_name, order, callers} <- [
      {"graph_batch", :random, 4},
      {"graph_batch_1", :random, 1},
      {"graph_batch_grouped", :grouped, 4},
      {"graph_batch_grouped_1", :grouped, 1}
    ],
    Bench.wanted?(options, [case_name]),
    case_name == "graph_batch" or not options.quick or options.names != [] do
  edges = if order == :grouped, do: Enum.sort(edges), else: edges
  chunks = Enum.chunk_every(edges, batch)

  Bench.run(options, [case_name], n, if(options.quick, do: 1, else: rounds), [
    {"rhizome",
     fn ->
       {store, graph} = start.()
       took = Bench.seconds(fn -> Bench.Graph.put(graph, chunks, callers) end)
       count = Graph.edge_count(graph)
       Rhizome.stop(store)
       if count < n - div(n, 1000), do: raise("#{count} edges")
       [{case_name, "edges_per_s", n / took}]
     end},
    {"ets",
     fn ->
       tables = Bench.Ets.new()
       took = Bench.seconds(fn -> Enum.each(chunks, &Bench.Ets.insert_all(tables, &1)) end)
       Bench.Ets.delete(tables)
       [{case_name, "edges_per_s", n / took}]
     end}
  ])
end
