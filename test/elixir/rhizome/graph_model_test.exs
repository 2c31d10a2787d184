defmodule Rhizome.GraphModelTest do
  # Random mutations of small graphs, on the head, in forks and in transactions, against a
  # model; reads of the head, of forks and of snapshots that were taken on the way; and what
  # must be so of every graph. A failure prints the seed that all is derived from: ExUnit's
  # own, or SEED where that is set.
  use Rhizome.Case, async: true

  alias Rhizome.{Batch, Error, Graph, GraphModel}
  alias Rhizome.Graph.Algorithms

  @runs 40
  @commands 120
  @vertices [1, 2, 3, 4, 5, :a, "b", {1, 2}]
  @labels [nil, :x, {:y}]
  @values [nil, 1, 2, "v"]

  @tag timeout: 300_000
  test "a graph does what the model does" do
    for n <- 1..@runs do
      seed = base_seed() * 1_000 + n
      :rand.seed(:exsss, seed)
      directed = n |> rem(3) |> Kernel.!=(0)

      try do
        run(directed)
      rescue
        error in [ExUnit.AssertionError, Error] ->
          IO.puts("\nSEED=#{base_seed()} replays this (run #{n})")
          reraise error, __STACKTRACE__
      end
    end
  end

  defp base_seed do
    case System.get_env("SEED", "") do
      "" -> ExUnit.configuration()[:seed]
      seed -> String.to_integer(seed)
    end
  end

  defp run(directed) do
    {:ok, store} = Rhizome.start_link(start_timeout: 20_000)

    try do
      graph = Rhizome.create_table!(store, :g, :graph, directed: directed)
      model = GraphModel.new(directed: directed)

      {model, snapshots} =
        Enum.reduce(1..@commands, {model, []}, fn n, {model, snapshots} ->
          model = step(graph, model)
          if rem(n, 20) == 0, do: compare(graph, model, [])

          snapshots =
            if rem(n, 40) == 0,
              do: [{Rhizome.snapshot!(store), model} | snapshots],
              else: snapshots

          {model, snapshots}
        end)

      for {snapshot, model} <- snapshots, do: compare(Rhizome.on(graph, snapshot), model, [])
      properties(graph, model)
    after
      Rhizome.stop(store)
    end
  end

  ## Mutations

  # One command, several in a batch, or several in a fork or a transaction.
  defp step(graph, model) do
    case :rand.uniform(12) do
      1 -> in_fork(graph, model)
      2 -> in_transaction(graph, model)
      3 -> in_batch(graph, model)
      _one -> command(graph, model, random_command())
    end
  end

  defp in_fork(graph, model) do
    fork = Rhizome.fork!(graph.store)
    there = Rhizome.on(graph, fork)
    inside = Enum.reduce(1..4, model, fn _n, model -> command(there, model, random_command()) end)
    compare(there, inside, [])

    if :rand.uniform(2) == 1 do
      Rhizome.commit!(fork)
      inside
    else
      Rhizome.discard(fork)
      compare(graph, model, [])
      model
    end
  end

  defp in_transaction(graph, model) do
    {:ok, model} =
      Rhizome.transaction(graph.store, fn tx ->
        there = Rhizome.on(graph, tx)
        Enum.reduce(1..3, model, fn _n, model -> command(there, model, random_command()) end)
      end)

    model
  end

  defp in_batch(graph, model) do
    commands = for _n <- 1..4, do: random_command()

    batch =
      Enum.reduce(commands, Batch.new(), fn {name, arguments}, batch ->
        apply(Batch, name, [batch, graph | arguments])
      end)

    {outcomes, after_it} = Enum.map_reduce(commands, model, &model(&2, &1))

    case Enum.find_index(outcomes, &match?({:error, _code}, &1)) do
      nil ->
        found = for change <- Rhizome.run!(graph.store, batch), do: change.outcome
        assert found == outcomes
        after_it

      index ->
        {:error, code} = Enum.at(outcomes, index)

        assert {:error, %Error{code: ^code, details: %{index: ^index}}} =
                 Rhizome.run(graph.store, batch)

        model
    end
  end

  defp command(graph, model, {name, arguments} = command) do
    {expected, model} = model(model, command)

    found =
      case apply(Graph, name, [graph | arguments]) do
        {:ok, change} -> change.outcome
        {:error, error} -> {:error, error.code}
      end

    assert found == expected,
           "#{inspect(command)}: expected #{inspect(expected)}, found #{inspect(found)}"

    model
  end

  defp model(model, {name, [vertex, options]}) when name in [:put_vertex, :update_vertex] do
    apply(GraphModel, name, [model, vertex, options[:value], options[:labels] || []])
  end

  defp model(model, {:delete_vertex, [vertex]}), do: GraphModel.delete_vertex(model, vertex)

  defp model(model, {:delete_edge, [from, to, options]}) do
    GraphModel.delete_edge(model, from, to, options[:label])
  end

  defp model(model, {name, [from, to, options]}) do
    apply(GraphModel, name, [model, from, to, options[:label], options[:value]])
  end

  defp random_command do
    [a, b] = for _n <- 1..2, do: Enum.random(@vertices)
    edge = [label: Enum.random(@labels)]
    value = [value: Enum.random(@values)]
    labels = Enum.take_random([:l, :m, "n"], :rand.uniform(4) - 1)

    case :rand.uniform(20) do
      n when n <= 3 -> {:put_vertex, [a, value ++ [labels: labels]]}
      4 -> {:update_vertex, [a, value ++ [labels: labels]]}
      5 -> {:delete_vertex, [a]}
      n when n <= 15 -> {:put_edge, [a, b, edge ++ value]}
      16 -> {:update_edge, [a, b, edge ++ value]}
      _more -> {:delete_edge, [a, b, edge]}
    end
  end

  ## Reads

  defp compare(graph, model, options) do
    directed = model.directed

    found =
      for element <-
            Graph.vertex_elements(graph, [page_size: 3] ++ options)
            |> Enum.concat(Graph.edges(graph, [page_size: 3] ++ options)) do
        case element do
          {:vertex, v, value, labels} ->
            {:vertex, v, value, Enum.sort(labels)}

          {:edge, a, b, label, value} when not directed ->
            {:edge, min(a, b), max(a, b), label, value}

          edge ->
            edge
        end
      end

    assert Enum.sort(found) == GraphModel.elements(model)
    assert Graph.vertex_count(graph) == map_size(model.vertices)
    assert Graph.edge_count(graph) == map_size(model.edges)

    for label <- @labels do
      count = Enum.count(model.edges, fn {{_a, _b, l}, _value} -> l == label end)
      assert Graph.edge_count(graph, label: label) == count
    end

    for vertex <- @vertices do
      assert Graph.has_vertex?(graph, vertex) == GraphModel.has_vertex?(model, vertex)
      if GraphModel.has_vertex?(model, vertex), do: around(graph, model, vertex)
    end
  end

  defp around(graph, model, vertex) do
    for direction <- [:out, :in, :both] do
      assert Enum.sort(Graph.neighbors(graph, vertex, direction: direction)) ==
               GraphModel.neighbors(model, vertex, direction)

      arcs = GraphModel.arcs(model, vertex, direction)

      found =
        for {:edge, a, b, label, _value} <-
              Graph.incident_edges(graph, vertex, direction: direction),
            do: {if(a == vertex, do: b, else: a), label}

      # A loop comes once for each of its ends, however it is named.
      assert Enum.uniq(Enum.sort(found)) == Enum.uniq(Enum.sort(arcs))

      for depth <- 0..3 do
        assert Enum.sort(Graph.k_hop(graph, [vertex], depth, direction: direction)) ==
                 GraphModel.k_hop(model, [vertex], depth, direction)
      end
    end

    other = Enum.random(Map.keys(model.vertices))

    case {Graph.shortest_path(graph, vertex, other),
          GraphModel.distance(model, vertex, other, :out)} do
      {nil, nil} ->
        refute Graph.reachable?(graph, vertex, other)

      {{length, [^vertex | _rest] = path}, distance} ->
        assert length == distance
        assert length(path) == length + 1
        assert List.last(path) == other
        assert GraphModel.path?(model, path, :out)
        assert Graph.reachable?(graph, vertex, other)
    end
  end

  ## What is so of every graph

  defp properties(graph, model) do
    out_and_in(graph)
    projected(graph, model)
    digests(graph)
    contracted(graph, model)
  end

  # Each edge is seen from both of its ends.
  defp out_and_in(graph) do
    edges = Enum.sort(Graph.edges(graph))
    vertices = Enum.to_list(Graph.vertices(graph))

    if Rhizome.table_info(graph).directed do
      assert edges == Enum.sort(Enum.flat_map(vertices, &Graph.out_edges(graph, &1)))
      assert edges == Enum.sort(Enum.flat_map(vertices, &Graph.in_edges(graph, &1)))
      assert Enum.sum(Enum.map(vertices, &Graph.out_degree(graph, &1))) == length(edges)
      assert Enum.sum(Enum.map(vertices, &Graph.in_degree(graph, &1))) == length(edges)
    end
  end

  # What algorithms find on arrays is what walks and the model find on tables.
  defp projected(graph, model) do
    projection = Graph.project!(graph, make_ref())
    assert projection.vertices == map_size(model.vertices)
    assert projection.edges == map_size(model.edges)

    for source <- [graph, projection] do
      assert groups(source, :wcc) == GraphModel.components(model)
      if model.directed, do: assert(groups(source, :scc) == GraphModel.strong_components(model))

      if map_size(model.vertices) > 0 do
        start = model.vertices |> Map.keys() |> Enum.random()

        levels =
          Algorithms.with_result(
            source,
            :bfs,
            &for({v, level, _} <- &1, level != nil, do: {v, level}),
            source: start
          )

        assert Enum.sort(levels) == GraphModel.k_hop(model, [start], 100, :out)
      end
    end

    assert Graph.drop_projection(projection) == :ok
  end

  defp groups(source, algorithm) do
    Algorithms.with_result(source, algorithm, fn result ->
      result
      |> Enum.group_by(&elem(&1, 1), &elem(&1, 0))
      |> Map.values()
      |> Enum.map(&Enum.sort/1)
      |> Enum.sort()
    end)
  end

  # It does not matter how a graph came to be as it is.
  defp digests(%{store: store} = graph) do
    %{directed: directed} = Rhizome.table_info(graph)
    copy = Rhizome.create_table!(store, :copy, :graph, directed: directed)
    Enum.into(Enum.shuffle(Graph.edges(graph)), copy)
    Enum.into(Enum.shuffle(Graph.vertex_elements(graph)), copy)
    assert Graph.digest(copy) == Graph.digest(graph)
    Rhizome.drop_table!(copy)
  end

  # Expanding undoes contracting, in whatever order the groups were made.
  defp contracted(graph, model) do
    vertices = Enum.shuffle(Map.keys(model.vertices))
    groups = for group <- Enum.chunk_every(vertices, 3), length(group) >= 2, do: group
    before = Graph.digest(graph)

    supers =
      for {members, n} <- Enum.with_index(groups) do
        Graph.contract!(graph, {:super, n}, members,
          edges: Enum.random([:first, :count, {:put, 0}]),
          loops: Enum.random([:drop, :keep])
        )

        assert Enum.sort(Graph.contracted(graph, {:super, n})) == Enum.sort(members)
        refute Enum.any?(members, &Graph.has_vertex?(graph, &1))
        {:super, n}
      end

    if groups != [], do: assert(Graph.digest(graph) != before)
    for super_vertex <- Enum.reverse(supers), do: Graph.expand!(graph, super_vertex)
    assert Graph.digest(graph) == before
    compare(graph, model, [])
  end
end
